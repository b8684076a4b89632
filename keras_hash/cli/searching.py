"""`keras-hash search`."""

import functools
import sys

from keras_hash import files
from keras_hash.cli import indexing
from keras_hash.cli import inputs
from keras_hash.cli import outputs

# More would be too small to see.
_ROWS, _COLUMNS = 20, 12


def add_commands(add):
    """Adds the command to the parser."""
    search = add(
        "search",
        _search,
        "Find the nearest images of image files, in an index that is built "
        "and extended from folders.",
        [
            "search runs/mine --images photos/ --index photos.index",
            "search runs/mine --index photos.index query.jpg -k 5",
            "search runs/mine --images photos/ --index photos.index "
            "query.jpg --out found.png",
            "search runs/mine --index photos.index queries/ --radius 2 --json",
        ],
        words="queries",
    )
    search.add_argument("model", help=inputs.MODEL)
    search.add_argument(
        "queries",
        nargs="*",
        metavar="QUERY",
        help="image files or folders of them to search for",
    )
    search.add_argument(
        "--index",
        required=True,
        help="file of the index; `keras_hash.Index.load` reads it too",
    )
    search.add_argument(
        "--images",
        action="append",
        default=[],
        metavar="PLACE",
        help="folder or file to put into the index; may be repeated; only "
        "files that are not in it yet, or have changed since, are encoded",
    )
    search.add_argument(
        "--prune",
        action="store_true",
        help="drop images from the index whose files are gone",
    )
    search.add_argument(
        "-k",
        type=inputs.at_least(1),
        help="neighbours for each query (default 10)",
    )
    search.add_argument(
        "--radius",
        type=inputs.at_least(0),
        help="all neighbours up to this distance; with `-k`, only the first k",
    )
    search.add_argument(
        "--out", help="PNG file to draw: the queries with what was found"
    )
    inputs.add_hamming(search)
    inputs.add_mirror(search, "queries")
    inputs.add_runtime(search, index=True)
    inputs.add_json(search)


def _search(chosen):
    card = inputs.card(chosen.model)
    if not (chosen.queries or chosen.images or chosen.prune):
        raise ValueError(
            "Nothing to do: give images to search for, `--images` to put into "
            "the index, or `--prune`."
        )
    if chosen.out and not chosen.queries:
        raise ValueError(
            "`--out` draws what is found: give images to search for. "
            f"Received: --out {chosen.out}"
        )
    read = [*chosen.queries, *(chosen.images or ()), chosen.index]
    outputs.check_writable(chosen.out, read=read)
    # Whatever is wrong with the queries shows before an hour of indexing.
    queries = inputs.image_files(chosen.queries) if chosen.queries else []
    places = inputs.image_files(chosen.images) if chosen.images else []
    find = indexing.opened if places else indexing.existing
    index = find(chosen.index, card, chosen)
    indexing.protect(index, chosen.out, "--out")
    if chosen.out or chosen.prune:
        index.check_paths()
    # Loaded if there is anything to encode.
    encoder = functools.cache(
        lambda: inputs.file_encoder(chosen.model, chosen.runtime)
    )
    codes = []
    if queries:
        real = card.magnitudes and not chosen.hamming
        codes, kept, bad = encoder().many(
            queries, mirror=chosen.mirror, real=real
        )
        for path, why in bad.items():
            # Of a folder the others count.
            if path in map(str, map(files.local, chosen.queries)) or not kept:
                raise ValueError(
                    f"{path} is not an image that can be decoded: {why}"
                )
            print(f"left out: {path}: {why}", file=sys.stderr)
        queries = [queries[place] for place in kept]
    if places or chosen.prune:
        indexing.extend(
            index, places, lambda paths: encoder()(paths), chosen.prune
        )
    if places and not len(index.index):
        raise ValueError(
            f"{outputs.counted(len(places), 'file')} given, and no image that "
            f"can be read among them: {chosen.index} is empty. Received: "
            f"--images {' '.join(chosen.images)}"
        )
    k = 10 if chosen.k is None and chosen.radius is None else chosen.k
    found = index.search(codes, k, chosen.radius) if queries else []
    if queries and chosen.out:
        _draw(chosen, card, queries, found, len(index.index))
    _print(chosen, card, index.index, dict(zip(queries, found)))


def _print(chosen, card, index, found):
    """Prints what was found for each query."""
    if chosen.json:
        content = {
            "model": card.name,
            "bits": card.bits,
            "similarity": index.similarity,
            "index": chosen.index,
            "items": len(index),
        }
        if found:
            content["results"] = [
                {
                    "query": query,
                    "neighbours": [{"id": i, "distance": d} for i, d in pairs],
                }
                for query, pairs in found.items()
            ]
        outputs.print_json(content)
        return
    for query, pairs in found.items():
        print(query)
        for item, distance in pairs:
            print(f"{distance:6d}  {item}")
        if not pairs:
            print(f"        nothing within {chosen.radius}")


def _draw(chosen, card, queries, found, items):
    from keras_hash import figures

    figures.found_files(
        queries[:_ROWS],
        [pairs[:_COLUMNS] for pairs in found[:_ROWS]],
        chosen.out,
        f"{card.name}: nearest of {items} images, distance of {card.bits} bits",
    )
    print(f"Drew {chosen.out}.", file=sys.stderr)

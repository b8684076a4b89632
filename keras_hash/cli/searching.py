"""`keras-hash search`."""

import sys

from keras_hash.cli import inputs

# More would be too small to see.
_ROWS, _COLUMNS = 20, 12


def add_commands(add):
    """Adds the command to the parser; see `app.make_parser`."""
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
    )
    search.set_defaults(words="queries")
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
        help="folder or file to be in the index, may be given again; only "
        "files that are not in it yet are encoded",
    )
    search.add_argument("-k", type=int, help="neighbours a query (default 10)")
    search.add_argument(
        "--radius",
        type=int,
        help="all neighbours up to this distance, with `-k` the first k",
    )
    search.add_argument(
        "--out", help="PNG file: the queries with what was found"
    )
    inputs.add_json(search)


def _search(chosen):
    import functools

    from keras_hash.cli import indexing
    from keras_hash.data import images
    from keras_hash.zoo.encoder import FileEncoder

    card = inputs.card(chosen.model)
    if not (chosen.queries or chosen.images):
        raise ValueError(
            "Nothing to do: give images to search for, or `--images` to put "
            "into the index."
        )
    # Whatever is wrong with the queries shows before an hour of indexing.
    queries = images.image_files(chosen.queries) if chosen.queries else []
    places = images.image_files(chosen.images) if chosen.images else []
    for name, least in (("k", 1), ("radius", 0)):
        value = getattr(chosen, name)
        if value is not None and value < least:
            raise ValueError(
                f"`{name}` should be at least {least}. Received: {value}"
            )
    if chosen.images:
        index = indexing.opened(chosen.index, card)
    else:
        index = indexing.existing(chosen.index, card)
    # Loaded if there is anything to encode.
    encoder = functools.cache(lambda: FileEncoder(chosen.model))
    if queries:
        codes = encoder().queries(queries)
    if places:
        indexing.extend(index, places, lambda paths: encoder()(paths))
    if not queries:
        if chosen.json:
            inputs.print_json(_described(chosen, card, index))
        return
    k = 10 if chosen.k is None and chosen.radius is None else chosen.k
    found = index.search(codes, k, chosen.radius)
    if chosen.out:
        _draw(chosen, card, queries, found, len(index.index))
    if chosen.json:
        results = [
            {
                "query": query,
                "neighbours": [{"id": i, "distance": d} for i, d in pairs],
            }
            for query, pairs in zip(queries, found)
        ]
        content = {**_described(chosen, card, index), "results": results}
        inputs.print_json(content)
        return
    for query, pairs in zip(queries, found):
        print(query)
        for item, distance in pairs:
            print(f"{distance:6d}  {item}")
        if not pairs:
            print(f"        nothing within {chosen.radius}")


def _described(chosen, card, index):
    return {
        "model": card["name"],
        "bits": card["bits"],
        "similarity": index.index.similarity,
        "index": chosen.index,
        "items": len(index.index),
    }


def _draw(chosen, card, queries, found, items):
    from keras_hash import figures

    if any(not isinstance(item, str) for pairs in found for item, _ in pairs):
        raise ValueError(
            f"`--out` needs paths to draw, and the ids in {chosen.index} are "
            "numbers."
        )
    figures.found_files(
        queries[:_ROWS],
        [pairs[:_COLUMNS] for pairs in found[:_ROWS]],
        chosen.out,
        f"{card['name']}: nearest of {items} images, distance of "
        f"{card['bits']} bits",
    )
    print(f"Drew {chosen.out}.", file=sys.stderr)

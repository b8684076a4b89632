"""`keras-hash duplicates`."""

import functools
import os
import sys
import tempfile

from keras_hash import files
from keras_hash.cli import indexing
from keras_hash.cli import inputs
from keras_hash.cli import outputs

# What finds copies that the codes of an encoder of likeness miss.
_HASH = "phash_256"
# Of the pairs of photos that are near by chance, one in so many passes the
# second look: measured by `tools/bench/duplicates.py`.
_PASSING = 100


def add_commands(add):
    """Adds the command to the parser."""
    command = add(
        "duplicates",
        _duplicates,
        "Find copies of photos in folders: the same bytes, or the same picture "
        "stored anew, made smaller, mirrored or cropped a little. Nothing is "
        "moved or changed unless `--move` or `--link` says so.",
        [
            "duplicates photos/",
            "duplicates photos/ --report duplicates.html",
            "duplicates photos/ --index photos.index --json",
            "duplicates photos/ --move copies/",
            "duplicates --undo copies/",
        ],
        words="places",
    )
    command.add_argument(
        "places", nargs="*", metavar="PLACE", help="folders or image files"
    )
    command.add_argument(
        "--model",
        default=inputs.GENERAL,
        help=f"{inputs.MODEL} (default {inputs.GENERAL})",
    )
    how_near = command.add_mutually_exclusive_group()
    how_near.add_argument(
        "--radius",
        type=inputs.at_least(0),
        help="photos whose codes differ in up to so many bits are copies, "
        "without a second look",
    )
    how_near.add_argument(
        "--false-rate",
        type=inputs.false_rate,
        default=1e-6,
        help="share of the pairs of different photos that may be taken for "
        "copies; the radius follows from it, and a second look at the pixels "
        "decides (default 1e-6)",
    )
    command.add_argument(
        "--index",
        help="file that keeps the codes, so that the next run encodes only "
        "what is new; a second one, with .phash behind its name, goes beside "
        "it",
    )
    command.add_argument(
        "--report", help="HTML file to write: the copies side by side"
    )
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--move",
        metavar="DIR",
        help="move what may go into a folder, with a list to undo it",
    )
    what.add_argument(
        "--link",
        action="store_true",
        help="replace files of the same bytes by hard links to one of them",
    )
    what.add_argument(
        "--undo", metavar="DIR", help="move back what `--move` has moved"
    )
    inputs.add_runtime(command, index=True)
    inputs.add_json(command)


def _duplicates(chosen):
    from keras_hash.search import duplicates

    if chosen.undo is not None:
        others = ("places", "report", "index")
        given = [name for name in others if getattr(chosen, name)]
        if given:
            raise ValueError(
                "`--undo` brings back all that was moved to its folder, and "
                f"takes no other options. Received: {', '.join(given)}"
            )
        back, failed = duplicates.undo(chosen.undo)
        print(f"Moved {outputs.counted(back, 'file')} back.", file=sys.stderr)
        if chosen.json:
            outputs.print_json({"moved_back": back, "failed": failed})
        _check_all(failed)
        return
    if not chosen.places:
        raise ValueError("Nothing to do: give folders of photos, or `--undo`.")
    read = list(chosen.places)
    if chosen.index is not None:
        files.local(chosen.index)
        read += [chosen.index, _hash_index(chosen.index)]
    outputs.check_writable(chosen.report, "--report", read)
    if chosen.move is not None:
        outputs.check_folder(chosen.move, "--move")
        written = [chosen.report, chosen.index]
        if files.local(chosen.move) in map(files.local, filter(None, written)):
            raise ValueError(
                "`--move` should be a folder of its own. Received: --move "
                f"{chosen.move}, which another option names too"
            )
    card = inputs.card(chosen.model)
    # What the cards cannot tell shows before the work.
    looks = _looks(chosen, card)
    for name in looks if chosen.index else ():
        index = _opened(chosen, chosen.index, name)
        indexing.protect(index, chosen.report, "--report")
    paths = duplicates.one_name(inputs.image_files(chosen.places))
    if chosen.move:
        _check_apart(chosen.move, chosen.places, paths)
    same = duplicates.same_bytes(paths)
    again = {path for others in same.values() for path in others}
    alone = [path for path in paths if path not in again]
    pairs, likely, refused = _near(chosen, looks, alone)
    gone = _gone(pairs, same)
    pairs = {pair: pairs[pair] for pair in pairs if gone.isdisjoint(pair)}
    same = {
        best: left
        for best, others in same.items()
        if best not in gone and (left := [p for p in others if p not in gone])
    }
    fits, damaged = None, {}
    if chosen.radius is None:
        fits = duplicates.second_look(likely, damaged)
    rank = functools.cache(duplicates.rank)
    found = duplicates.groups(pairs, same, rank, fits, "auto")
    for path, why in damaged.items():
        print(f"left out: {path}: {why}", file=sys.stderr)
    refused |= damaged
    images = len(paths)
    images -= sum(1 + len(same.get(path, ())) for path in refused)
    if chosen.report:
        _report(chosen, found, images, looks)
    _print(chosen, found, images, looks)
    if chosen.move:
        going = [path for group in found for path in group.copies]
        count, failed = duplicates.move(going, chosen.move)
        print(
            f"Moved {outputs.counted(count, 'file')} to {chosen.move}; "
            f"`keras-hash duplicates --undo {chosen.move}` brings back what "
            "was moved."
            if going
            else "Nothing to move.",
            file=sys.stderr,
        )
        _check_all(failed)
    if chosen.link:
        count, failed = duplicates.link(
            (best, path) for best, others in same.items() for path in others
        )
        linked = outputs.counted(count, "file")
        print(f"Linked {linked} of the same bytes.", file=sys.stderr)
        _check_all(failed)


def _gone(pairs, same):
    """Files that were copies and are not there any more; the work is long."""
    seen = {path for pair in pairs for path in pair}
    seen |= {path for best, others in same.items() for path in (best, *others)}
    gone = {path for path in seen if not os.path.exists(path)}
    for path in sorted(gone):
        print(f"left out: {path}: it is not there any more", file=sys.stderr)
    return gone


def _check_all(failed):
    """Says which files stay as they are, if any."""
    if failed:
        raise inputs.CheckFailed(*(f"{p} stays: {failed[p]}" for p in failed))


def _check_apart(folder, places, paths):
    """Refuses a folder in which the next run would find what was moved."""
    target = os.path.realpath(files.local(folder))
    places = {str(files.local(place)) for place in places}
    # Links lead to folders elsewhere.
    inside = {os.path.dirname(path) for path in {*paths} - places}
    for place in map(os.path.realpath, places | inside):
        if os.path.isdir(place) and target.startswith(os.path.join(place, "")):
            raise ValueError(
                "`--move` should be a folder outside of the photos: the next "
                f"run would look there too. Received: {folder}"
            )
        if target == place:
            raise ValueError(
                f"`--move` should be another folder than {folder}."
            )


def _looks(chosen, card):
    """From the name of each encoder to the radius of what may be a copy."""
    if card.similarity != "hamming":
        raise ValueError(
            "Copies are found by Hamming distances: give a model whose codes "
            f"are compared by them, such as {inputs.GENERAL}. Received: "
            f"--model {chosen.model}, compared by {card.similarity!r}"
        )
    if chosen.radius is not None:
        return {chosen.model: chosen.radius}
    rate = min(_PASSING * chosen.false_rate, 1e-3)
    cards = {chosen.model: card}
    if card.method != "PHash":
        cards[_HASH] = inputs.card(_HASH)
    try:
        return {name: one.radius(rate) for name, one in cards.items()}
    except ValueError as error:
        if not all(one.false_pairs for one in cards.values()):
            raise
        raise ValueError(
            f"{error}, {_PASSING} times `--false-rate {chosen.false_rate:g}`, "
            "since a second look decides"
        ) from error


def _near(chosen, looks, paths):
    """Pairs of files whose codes are near, and why; those of them that are
    likely to show the same; and what is no image."""
    order = {path: place for place, path in enumerate(paths)}
    found, likely, refused = {}, set(), {}
    known = {os.path.realpath(path): path for path in reversed(paths)}
    with tempfile.TemporaryDirectory() as temporary:
        for name, radius in looks.items():
            place = chosen.index or os.path.join(temporary, "photos.index")
            index = _opened(chosen, place, name)
            refused |= _extend(chosen, index, name, paths)
            surely = _surely(inputs.card(name), chosen)
            for first, second, far in index.index.pairs(radius):
                for one, other, bits in zip(first, second, far.tolist()):
                    pair = [
                        known.get(os.path.realpath(index.place(item)))
                        for item in (one, other)
                    ]
                    # Others are in the index from earlier runs; and two names
                    # of one file take no more room than one.
                    if None not in pair and not _same_file(*pair):
                        pair = tuple(sorted(pair, key=order.get))
                        found.setdefault(pair, f"{name}: {bits} bits differ")
                        if bits <= surely:
                            likely.add(pair)
    return found, likely, refused


def _same_file(one, other):
    """Whether two paths lead to one file; not where one is gone."""
    return all(map(os.path.exists, (one, other))) and os.path.samefile(
        one, other
    )


def _hash_index(place):
    """Where the codes of the perceptual hash lie, beside those of a model."""
    return f"{place}.phash"


def _surely(card, chosen):
    """The distance up to which a perceptual hash makes a copy likely, or -1."""
    if card.method != "PHash" or chosen.radius is not None:
        return -1
    try:
        return card.radius(min(chosen.false_rate, 1e-3))
    except ValueError:
        # So low a rate that its card does not tell it.
        return -1


def _opened(chosen, place, name):
    """The index of an encoder's codes, of a model at a place or beside it."""
    place = place if name == chosen.model else _hash_index(place)
    return indexing.opened(place, inputs.card(name), chosen)


def _extend(chosen, index, name, paths):
    """Adds all files that are images to an index; returns the others."""
    encoder = inputs.file_encoder(name, chosen.runtime)
    if chosen.index:
        return indexing.extend(index, paths, encoder, False).refused
    refused = index.extend(paths, encoder).refused
    for path, why in refused.items() if name == chosen.model else ():
        print(f"left out: {path}: {why}", file=sys.stderr)
    return refused


def _summary(found, count):
    going = [path for group in found for path in group.copies]
    room = sum(os.path.getsize(path) for path in going) / 1e6
    if not found:
        return f"{outputs.counted(count, 'image')}, no copies"
    have = f"{len(found):,} of which ha{'s' if len(found) == 1 else 've'} "
    have += "a copy" if len(going) == 1 else f"{len(going):,} copies"
    return (
        f"{outputs.counted(count, 'image')}, {have} that may go, {room:,.1f} MB"
    )


def _print(chosen, found, count, looks):
    if chosen.json:
        groups = [{"keep": g.keep, "copies": g.copies} for g in found]
        outputs.print_json({"images": count, "looks": looks, "groups": groups})
        return
    for group in found:
        print(f"keep  {group.keep}")
        for path, why in group.copies.items():
            print(f"  copy  {path}  ({why})")
    print(_summary(found, count), file=sys.stderr)


def _report(chosen, found, count, looks):
    from keras_hash.html_report import copies
    from keras_hash.html_report import rendering

    text = rendering.render(
        "duplicates.html",
        title="Duplicates",
        summary=_summary(found, count),
        looks=looks,
        second_look=chosen.radius is None,
        groups=copies.shown(found),
    )
    files.write(chosen.report, text)
    print(f"Wrote {chosen.report}.", file=sys.stderr)

"""Sends damaged files to all that reads files: images, cards, indexes, tables.

    python tools/fuzz.py [--target photos card] [--runs 100000] [--seconds 600]
        [--seed 0] [--findings build/fuzz]

A file that is damaged is refused by the error that its reader documents, or
means the same to all who read it: the graph for TensorFlow Serving decodes a
JPEG or PNG to the reader's pixels, a card or an index that is read can be
written and read again, a search answers as a comparison with all codes does.
Targets:

- `photos`: JPEG and PNG, by the reader of files and, in batches, by the graph;
- `others`: WebP, GIF, BMP and TIFF, by the reader;
- `card`: `card.json` of a zoo entry;
- `index`, `photo-index`: what `Index.save` and `keras-hash search` write;
- `csv`: the table of `keras_hash.data.from_csv`;
- `archive`: what a download of the zoo unpacks.

Half of the files get the checksums that they should have, so that damage is
read. Each target runs in a process of its own, which is started again where it
dies. With atheris (the extra `fuzz`) the way through Python's code chooses what
is damaged next; without it, or with `--plain`, `--seed` decides all.

Prints inputs, accepted, refused, crashes, hangs, differences and partial files
of each target, and writes each finding with its error into a folder. Exit code
1 says that there are some.
"""

import argparse
import atexit
import collections
import contextlib
import csv
import faulthandler
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import warnings

import mutations
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ("inputs", "accepted", "refused")
FAULTS = ("crash", "hang", "difference", "partial")
# Seconds that one input may take, of the processor and of waiting.
PATIENCE = 20, 300
# Findings of one place in the code that are written.
SUCH = 3


class Difference(Exception):
    """Two readers, or a reader and a writer, do not agree."""


class Partial(Exception):
    """A file was left that is not whole."""


class Hang(BaseException):
    """An input took too long."""


def expect(same, *what):
    if not same:
        raise Difference(*what)


# Targets: from a folder to work in to files that are fine, what gives a damaged
# one its checksums, and what reads one: True if it is accepted, False if it is
# refused as documented.


def photos(folder):
    """The reader and, of many at a time, the graph: the same pixels."""
    import tensorflow as tf

    from keras_hash.data import images
    from keras_hash.export import decoding
    from tests import photo_files

    # What the graph refuses by name, and the reader takes.
    other = "CMYK", "EXIF behind the pixels", "EXIF of an unusual form"

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decoded(contents):
        def decode(numbered):
            header = decoding.inspect(*numbered)
            pixels = decoding.decode(header, numbered[1])
            return tf.io.serialize_tensor(pixels)

        numbered = tf.range(tf.size(contents)), decoding.checked(contents)
        return tf.map_fn(decode, numbered, fn_output_signature=tf.string)

    def by_the_graph(contents):
        """Pixels of each, or what is said of one that is refused."""
        try:
            found = decoded(tf.constant(contents)).numpy()
            return [tf.io.parse_tensor(f, tf.uint8).numpy() for f in found]
        except tf.errors.InvalidArgumentError as error:
            return error.message
        except UnicodeDecodeError as error:
            # Messages may quote bytes of the file.
            return str(error.object)

    waiting = []

    def compare():
        if not waiting:
            return
        found = by_the_graph([content for content, _ in waiting])
        alone = isinstance(found, str)
        for place, (content, pixels) in enumerate(waiting):
            seen = by_the_graph([content]) if alone else found[place]
            if isinstance(seen, str):
                seen = seen[0] if len(seen) == 1 else seen
                same = any(name in seen for name in other)
            else:
                seen = seen[0] if alone else seen
                same = np.array_equal(seen, pixels)
            if not same:
                waiting.clear()
                error = Difference("the graph", str(seen)[:300])
                error.content = content
                raise error
        waiting.clear()

    def read(content):
        try:
            pixels = images.decode(content)
        except ValueError as error:
            reason = str(error)
            expect(images.check(content) == reason, "check", reason)
            seen = by_the_graph([content])
            expect(isinstance(seen, str), "the graph decodes", reason)
            return False
        expect(pixels.dtype == np.uint8 and pixels.ndim == 3, pixels.shape)
        waiting.append((content, pixels))
        if len(waiting) == 16:
            compare()
        return True

    read.finish = compare
    random = np.random.RandomState(0)
    # The graph is made before time counts.
    by_the_graph([b""])
    seeds = photo_files.alike(random) | photo_files.refused(random)
    seeds |= {k: v for k, (v, _) in photo_files.by_the_reader(random).items()}
    seeds = [s for s in seeds.values() if s[:2] in (b"\xff\xd8", b"\x89P")]
    return [s for s in seeds if len(s) < 6000], mutations.seal_png, read


def others(folder):
    """The reader, which says in advance whether it can."""
    from keras_hash.data import images
    from tests import photo_files

    def read(content):
        said = images.check(content)
        try:
            pixels = images.decode(content)
        except ValueError as error:
            expect(said == str(error), "check says", said, "decode", str(error))
            return False
        expect(said is None, "check refuses what decode takes", said)
        expect(pixels.dtype == np.uint8 and pixels.ndim == 3, pixels.shape)
        expect(np.array_equal(pixels, images.decode(content)), "not the same")
        return True

    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (9, 12, 4), "uint8")
    seeds = []
    for kind in ("WEBP", "GIF", "BMP", "TIFF"):
        for mode in ("RGB", "L", "P", "1", "RGBA"):
            with contextlib.suppress(OSError):
                seeds.append(photo_files.saved(pixels, kind, mode))
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        settings = {"compression": compression}
        seeds.append(photo_files.saved(pixels[..., :3], "TIFF", **settings))
    deep = pixels[..., 0].astype("uint16") * 257
    seeds += [photo_files.saved(deep, kind) for kind in ("TIFF", "PNG")]
    return seeds, bytes, read


def card(folder):
    """A card that is read is written, and read again, as the same."""
    from keras_hash import files
    from keras_hash import zoo

    entry, again = folder / "entry", folder / "again"
    entry.mkdir()
    again.mkdir()

    def read(content):
        (entry / "card.json").write_bytes(content)
        try:
            found = zoo.card(entry)
            alike = found.similarity
        except ValueError:
            return False
        found.write(again)
        # No number is no field.
        one = json.loads(files.to_json(found))
        one = {key: value for key, value in one.items() if value is not None}
        other = json.loads(files.to_json(zoo.card(again)))
        expect(one == other, one, other)
        expect(alike in ("hamming", "and"), alike)
        expect(len(found.maker["files_sha256"]) == 64, found.maker)
        return True

    paths = sorted((ROOT / "zoo").glob("*/card.json"))
    return [p.read_bytes() for p in paths][::4], bytes, read


def _indexes(folder):
    """Small index files of each kind."""
    import keras_hash

    random = np.random.RandomState(0)
    path = folder / "seed.index"
    for bits, names, similarity in (
        (12, False, "hamming"),
        (64, True, "hamming"),
        (21, True, "and"),
    ):
        codes = keras_hash.codes.pack(random.randn(9, bits))
        for rows in (codes, codes[random.randint(3, size=9)]):
            ids = [f"é{i}.png" for i in range(9)] if names else None
            index = keras_hash.Index(bits, rows, ids, similarity)
            index.save(path, about={"name": "nobody"})
            yield path.read_bytes()
    keras_hash.Index(5).save(path)
    yield path.read_bytes()


def index(folder):
    """An index that is read answers as its codes and ids say, and is saved."""
    import keras_hash

    path, again = folder / "read" / "an.index", folder / "again" / "an.index"

    def read(content):
        _rewrite(path, content)
        try:
            found = keras_hash.Index.load(path)
        except ValueError:
            found = None
        try:
            mapped = keras_hash.Index.load(path, mmap=True)
        except ValueError:
            mapped = None
        expect((found is None) == (mapped is None), "with mmap and without")
        if found is None:
            return False
        _check_answers(found)
        _check_answers(mapped)
        found.save(again)
        expect(os.listdir(again.parent) == [again.name], "left beside")
        other = keras_hash.Index.load(again)
        for key in ("codes", "ids"):
            one, two = getattr(found, key), getattr(other, key)
            expect(np.array_equal(one, two), key)
        return True

    return list(_indexes(folder)), mutations.seal_index, read


def _check_answers(found):
    """Compares searches with a comparison of all codes."""
    from keras_hash import codes as codes_lib

    codes, ids = found.codes, found.ids
    expect(len(codes) == len(ids) == len(found), "lengths")
    codes_lib.check(codes, found.bits)
    if not len(found):
        return
    k = min(4, len(found))
    far = codes_lib.levels(codes[:2], codes, found.bits, found.similarity)
    order = np.argsort(far, axis=1, kind="stable")[:, :k]
    levels, named = found.search(codes[:2], k=k)
    expect(np.array_equal(levels, np.take_along_axis(far, order, 1)), "levels")
    expect(np.array_equal(named, ids[order]), "ids", named, ids[order])
    bounds, _, named = found.range_search(codes[:1], 3)
    expect(len(named) == bounds[-1] == (far[0] <= 3).sum(), "range")
    if len(set(ids.tolist())) < len(ids):
        # Which item is meant then is not said.
        return
    places = np.arange(len(found))[-2:]
    _, named = found.search(codes[:1], k=1, among=ids[places])
    nearest = places[np.argmin(far[0, places])]
    expect(named[0, 0] == ids[nearest], "among")


def photo_index(folder):
    """The index of photos: searched, and extended by one more."""
    from PIL import Image

    from keras_hash.search.pictures import PhotoIndex

    path, photo = folder / "read" / "an.index", folder / "photo.png"
    Image.new("RGB", (2, 2)).save(photo)
    code = np.array([[7, 16]], "uint8")
    about = {"name": "nobody"}

    def encode(paths):
        return code[[0] * len(paths)], list(range(len(paths))), {}

    def read(content):
        _rewrite(path, content)
        try:
            found = PhotoIndex(path, 12, "hamming", about)
            found.extend([photo], encode, prune=True)
        except ValueError:
            expect(path.read_bytes() == content, "refused, and written")
            return False
        (near, *_), *_ = found.search(code, 1)
        expect(near[1] == 0, near)
        again = PhotoIndex(path, 12, "hamming", about)
        expect(again.index.codes.tolist() == found.index.codes.tolist())
        expect(not again.extend([photo], encode).added, "added twice")
        return True

    seeds = [
        content for content in _indexes(folder) if b'"bits": 12' in content
    ]
    made = folder / "made.index"
    PhotoIndex(made, 12, "hamming", about).extend([photo], encode)
    return [*seeds, made.read_bytes()], mutations.seal_index, read


def table(folder):
    """A table that is read has the labels that Python's reader finds."""
    from PIL import Image

    from keras_hash import data

    random = np.random.RandomState(0)
    for number in range(6):
        pixels = random.randint(0, 256, (2, 2, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    path = folder / "read.csv"
    ways = (
        {"label_columns": "label"},
        {"label_columns": "label", "separator": "|"},
        {"label_columns": ["cat", "dog"]},
    )

    def read(content):
        path.write_bytes(content)
        refused = 0
        for way in ways:
            try:
                bench = data.from_csv(path, "image", query=0, **way)
            except ValueError:
                refused += 1
                continue
            check(bench, content, **way)
        return refused < len(ways)

    def check(bench, content, label_columns, separator=None):
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        rows = csv.DictReader(text, restval="")
        wanted = {row["image"].strip(): row for row in reversed(list(rows))}
        for name, target in zip(bench.ids.tolist(), bench.targets):
            row = wanted[name]
            if isinstance(label_columns, list):
                yes = ("1", "1.0", "true", "yes")
                names = [
                    c for c in label_columns if row[c].strip().lower() in yes
                ]
            else:
                parts = row[label_columns].split(separator or None)
                parts = parts if separator else [row[label_columns]]
                names = {part.strip() for part in parts} - {""}
            if np.ndim(target):
                had = [bench.labels[i] for i in np.flatnonzero(target)]
            else:
                had = [bench.labels[target]]
            expect(sorted(had) == sorted(names), name, had, names)

    rows = ["image,label,cat,dog"]
    rows += [f"{i}.png,{'ab|b'[i % 3 :]},{i % 2},{i // 3}" for i in range(6)]
    plain = "\n".join(rows).encode()
    quoted = plain.replace(b"0.png", b'" 0.png"').replace(b"\n", b"\r\n")
    numbers = plain.replace(b"ab|b", b"10").replace(b"b", b"9")
    return [plain, quoted, b"\xef\xbb\xbf" + plain, numbers], bytes, read


def archive(folder):
    """An archive that is unpacked lies in the cache, or nothing does."""
    from keras_hash.zoo import fetch

    name, home = "an_entry", folder / "home"
    source = folder / "read.tar"

    def download(name, pinned, staging):
        shutil.copy(source, staging / "an_entry.tar")
        return staging / "an_entry.tar"

    os.environ["KERAS_HOME"] = str(home)
    # The hash of what comes is right, as of a mirror that pins it.
    fetch._download = download
    pinned = {name: {"version": 1, "sha256": "0" * 64}}
    fetch.index = lambda: pinned
    cache, outside = fetch.cache_folder(), sorted(os.listdir(folder))

    def read(content):
        source.write_bytes(content)
        try:
            place = fetch.entry(name)
        except (OSError, ValueError):
            place = None
        left = sorted(os.listdir(cache)) if cache.is_dir() else []
        wanted = [place.name] if place else []
        new = set(os.listdir(folder)) - {*outside, "home", "read.tar"}
        shutil.rmtree(home, ignore_errors=True)
        if left != wanted or new:
            raise Partial(f"left: {left}, wanted: {wanted}, outside: {new}")
        return place is not None

    def packed(kind):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=kind) as tar:
            for member, text in (
                (f"{name}/card.json", b"{}" * 9),
                (f"{name}/1/saved_model.pb", bytes(700)),
                (f"{name}/1/{'long/' * 30}file", b"words"),
            ):
                info = tarfile.TarInfo(member)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text))
            link = tarfile.TarInfo(f"{name}/link")
            link.type, link.linkname = tarfile.LNKTYPE, f"{name}/card.json"
            tar.addfile(link)
        return stream.getvalue()

    kinds = tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT
    return [packed(kind) for kind in kinds], mutations.seal_tar, read


def _rewrite(path, content):
    """Writes a file into a folder in which nothing else is."""
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    path.write_bytes(content)


TARGETS = {
    "photos": photos,
    "others": others,
    "card": card,
    "index": index,
    "photo-index": photo_index,
    "csv": table,
    "archive": archive,
}


class Count:
    """What came of the inputs of a target, in a file as well."""

    def __init__(self, folder, read):
        self.folder, self.read = folder, read
        self.path = folder / "counts.json"
        self.counts = collections.Counter(dict.fromkeys(KINDS + FAULTS, 0))
        if self.path.exists():
            self.counts.update(json.loads(self.path.read_text()))
        self.places = collections.Counter()

    def take(self, content):
        """Reads one input, of which a finding is kept."""
        # Where a process that dies will have been.
        (self.folder / "now").write_bytes(content)
        self.counts["inputs"] += 1
        try:
            _watch(*PATIENCE)
            fine = self.read(content)
            self.counts["accepted" if fine else "refused"] += 1
        except Hang as error:
            self.keep("hang", content, error)
        except Partial as error:
            self.keep("partial", content, error)
        except Difference as error:
            self.keep("difference", getattr(error, "content", content), error)
        except Exception as error:
            self.keep("crash", content, error)
        finally:
            _watch(0, 0)

    def keep(self, kind, content, error):
        self.counts[kind] += 1
        lines = traceback.extract_tb(error.__traceback__)
        place = kind, type(error), lines[-1].filename, lines[-1].lineno
        self.places[place] += 1
        if self.places[place] <= SUCH:
            name = f"{kind}-{hashlib.sha256(content).hexdigest()[:12]}"
            (self.folder / name).write_bytes(content)
            text = "".join(traceback.format_exception(error))
            (self.folder / f"{name}.txt").write_text(
                text, errors="backslashreplace"
            )

    def write(self):
        self.path.write_text(json.dumps(self.counts))


def _watch(work, wait):
    signal.setitimer(signal.ITIMER_PROF, work)
    signal.setitimer(signal.ITIMER_REAL, wait)


def work(target, runs, seconds, seed, findings, guided):
    """Sends inputs to a target, in a process of its own."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(ROOT))
    folder = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if guided:
        import atheris

        with atheris.instrument_imports(include=["keras_hash", "PIL"]):
            seeds, seal, read = TARGETS[target](folder)
    else:
        seeds, seal, read = TARGETS[target](folder)
    count = Count(pathlib.Path(findings), read)

    def stop(*_):
        raise Hang("more than {} seconds of work, or {}".format(*PATIENCE))

    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, stop)
    end, done = time.monotonic() + seconds, 0

    def one(content):
        nonlocal done
        done += 1
        count.take(content)
        over = done >= runs or time.monotonic() > end
        if over and hasattr(read, "finish"):
            count.counts["inputs"] -= 1
            count.counts["accepted"] -= 1
            count.read = lambda content: read.finish() or True
            count.take(content)
        if over or done % 64 == 0:
            count.write()
        return over

    def damaged(random, content=None):
        contents = seeds if content is None else [content, *seeds]
        found = mutations.mutate(random, contents, 11)
        return seal(found) if random.randint(2) else found

    if guided:
        _guided(atheris, count.folder, seeds, damaged, one, folder)
    random = np.random.RandomState(seed)
    while not one(damaged(random)):
        pass


def _guided(atheris, findings, seeds, damaged, one, folder):
    """Lets the way through the code choose; ends the process."""
    corpus = findings / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(content)

    def choose(content, most, seed):
        random = np.random.RandomState(seed & 0xFFFFFFFF)
        if random.randint(3):
            return damaged(random, content)[:most]
        return atheris.Mutate(content, most)

    def take(content):
        if one(content):
            shutil.rmtree(folder, ignore_errors=True)
            # As atheris does: Python's end would wait for its threads.
            os._exit(0)

    # Hangs and memory are watched here, by what can tell the input.
    options = [
        "-timeout=0",
        "-rss_limit_mb=0",
        "-verbosity=0",
        "-max_len=20000",
    ]
    arguments = [sys.argv[0], *options, str(corpus)]
    atheris.Setup(arguments, take, custom_mutator=choose)
    atheris.Fuzz()


def run(target, runs, seconds, seed, findings, guided):
    """The counts of a target, whose process is started again if it dies."""
    folder = pathlib.Path(findings, target)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "counts.json"
    path.unlink(missing_ok=True)
    end, counts = time.monotonic() + seconds, collections.Counter()
    while True:
        left = end - time.monotonic()
        if counts["inputs"] >= runs or left <= 0:
            return counts
        numbers = runs - counts["inputs"], left, seed + counts["inputs"]
        arguments = ["--work", *map(str, numbers), str(folder)]
        done = subprocess.run(
            [sys.executable, __file__, "--target", target, *arguments]
            + ([] if guided else ["--plain"]),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            timeout=None,
        )
        before = counts
        counts = collections.Counter(dict.fromkeys(KINDS + FAULTS, 0))
        if path.exists():
            counts.update(json.loads(path.read_text()))
        if done.returncode == 0:
            continue
        said = done.stderr.decode(errors="replace")
        if counts["inputs"] == before["inputs"] and not path.exists():
            raise RuntimeError(f"{target} does not start:\n{said[-3000:]}")
        counts["crash"] += 1
        counts["inputs"] += 1
        path.write_text(json.dumps(counts))
        content = (folder / "now").read_bytes()
        name = f"crash-{hashlib.sha256(content).hexdigest()[:12]}"
        (folder / name).write_bytes(content)
        (folder / f"{name}.txt").write_text(
            f"{done.returncode}\n{said[-9000:]}"
        )


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--target", nargs="+", choices=TARGETS, default=list(TARGETS)
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", default="build/fuzz")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    guided = not chosen.plain
    guided = guided and importlib.util.find_spec("atheris") is not None
    if chosen.work:
        runs, seconds, seed, folder = chosen.work
        numbers = int(runs), float(seconds), int(seed)
        work(chosen.target[0], *numbers, folder, guided)
        return False
    print("guided by coverage" if guided else "by seeds alone", flush=True)
    faults = 0
    for target in chosen.target:
        settings = chosen.runs, chosen.seconds, chosen.seed, chosen.findings
        counts = run(target, *settings, guided)
        faults += sum(counts[kind] for kind in FAULTS)
        shown = ", ".join(f"{k} {counts[k]:,}" for k in KINDS + FAULTS)
        print(f"{target}: {shown}", flush=True)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

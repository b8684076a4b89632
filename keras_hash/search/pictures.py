"""An index of image files, and a picture of what a search finds."""

import dataclasses
import functools
import itertools
import os
import pathlib
import stat
import time

import numpy as np

from keras_hash import files
from keras_hash import progress
from keras_hash.codes import pack
from keras_hash.search import asymmetric
from keras_hash.search import storage
from keras_hash.search.index import Index


@dataclasses.dataclass
class Extension:
    """What `PhotoIndex.extend` did."""

    added: int = 0
    changed: int = 0
    # Ids whose files are not there any more.
    gone: list = dataclasses.field(default_factory=list)
    # From the paths of files that are no images to reasons.
    refused: dict = dataclasses.field(default_factory=dict)


class PhotoIndex:
    """The index of image files in a file, for the codes of one encoder.

    The ids of its `index` are paths, one for each file whatever links lead to
    it: relative to the folder of the index for files in it, else absolute.
    `maker` tells the encoder from all others, `runtime` what runs it; its codes
    may stand beside those of the runtimes `fitting`, `None` for any. Processes
    that extend it at once lose nothing: each adds to what is in the file when
    it saves.
    """

    def __init__(
        self,
        path,
        bits,
        similarity,
        maker,
        runtime="keras",
        fitting=("keras",),
    ):
        self.path, self.maker = files.local(path), maker
        if self.path.is_symlink():
            # Ids are paths from the folder of the file, not from the link's.
            self.path = pathlib.Path(os.path.realpath(self.path))
        self._runtime, self._fitting = runtime, fitting
        self._kind = bits, similarity
        self._folder = os.path.realpath(self.path.parent)
        # By id: code, size and time of what is not saved yet; what is to go.
        self._waiting, self._dropped = {}, set()
        self._read, self._columns, self._known = None, None, {}
        self.index = Index(bits, similarity=similarity)
        self._load()

    def _load(self):
        """Reads the file, unless it is the one that was read before."""
        if not self.path.exists():
            return
        status = os.stat(self.path)
        read = status.st_ino, status.st_size, status.st_mtime_ns
        if read == self._read:
            return
        self.index, arrays = Index._read(self.path)
        runtimes = self.index.about.get("runtimes", [])
        files.check_shape(runtimes, [str], f"{self.path}: runtimes")
        self._check_maker()
        self._read, self._columns, self._known = read, None, {}
        if arrays.keys() & set(_COLUMNS):
            self._columns = [arrays.get(name) for name in _COLUMNS]
            _check_columns(self.path, self._columns, len(self.index))

    def _states(self):
        """Size and time of files when they were encoded, by id.

        Ids that an older version or a call from Python wrote have none. Made
        when first asked for: a million take longer than to open the file.
        """
        if self._columns is not None:
            columns = [column.tolist() for column in self._columns]
            states = zip(self.index.ids.tolist(), zip(*columns))
            self._known = {i: state for i, state in states if state[0] >= 0}
            self._columns = None
        return self._known

    def _check_maker(self):
        # Written in Python, it may not say whose codes they are.
        about = self.index.about
        other = any(
            about.get(key, value) != value for key, value in self.maker.items()
        )
        holds = (self.index.bits, self.index.similarity)
        if other or holds != self._kind:
            whose = about.get("name", "an encoder")
            if other and whose == self.maker["name"]:
                whose = f"{whose} with other weights"
            raise ValueError(
                f"{self.path} holds codes of {whose} ({holds[0]} bits, "
                f"{holds[1]}); {self.maker['name']} makes {self._kind[0]} "
                f"bits, {self._kind[1]}. Search with the encoder that made "
                "it, or give another index."
            )
        if self._fitting is not None and len(self.index):
            others = self._runtimes() - set(self._fitting)
            if others:
                raise ValueError(
                    f"{self.path} holds codes that {self.maker['name']} made "
                    f"on {', '.join(sorted(others))}; on {self._runtime} some "
                    "bits are others, or it is not known. Search with "
                    f"`--runtime {min(others)}`, or give `--any-runtime` to "
                    "take them as they are."
                )

    @property
    def named(self):
        """Whether it says whose codes it holds, or holds none but those that
        were added here, whose files it knows."""
        known = "name" in self.index.about
        return known or len(self._states()) == len(self.index)

    def _runtimes(self):
        """What made its codes, a set of names."""
        return set(self.index.about.get("runtimes", ["keras"]))

    def place(self, item):
        """The path of the file of an id, from the working folder if it can."""
        if item not in self._states():
            return item
        path = os.path.join(self._folder, item)
        path = path.removeprefix(os.path.join(os.getcwd(), ""))
        # Given back to a command, it should mean the same.
        return os.path.join(".", path) if path[:1] in ("~", "-") else path

    def holds(self, path):
        """Whether a file is in the index."""
        real = os.path.realpath(files.local(path))
        names = {self._id(real), os.fspath(path)}
        return not names.isdisjoint(self.index.ids.tolist())

    def check_paths(self):
        """Refuses an index of a call from Python whose ids are no paths."""
        if len(self.index) and self.index.ids.dtype.kind in "iu":
            raise ValueError(
                f"The ids in {self.path} are numbers, not paths of files. Give "
                "another index."
            )

    def _id(self, path):
        """The id of a file by its path, which is absolute and of no links."""
        return path.removeprefix(os.path.join(self._folder, ""))

    def extend(self, paths, encode, batch_size=64, prune=False, every=60):
        """Adds files that are not there yet or have changed since, and saves.

        It saves after Ctrl-C too, and each time that `every` seconds have
        passed. `encode` takes paths, and returns packed codes of those that are
        images, their positions, and a dict from those of the others to reasons.
        `prune` drops the files that are gone. Returns an `Extension`.
        """
        self.check_paths()
        files.sweep(self._folder)
        ids = self.index.ids.tolist()
        given = {}
        for path in paths:
            given.setdefault(os.path.realpath(path), path)
        states, there, done = self._states(), {}, Extension()
        real = functools.cache(os.path.realpath)
        for item in ids:
            named = item in states
            path = os.path.join(self._folder, item) if named else item
            path = path if named else os.path.realpath(path)
            if path in there:
                # One file by two names, in an index of an older version.
                self._dropped.add(item)
            elif path in given or _is_file(path, real):
                there[path] = item
            elif named:
                # Others may be ids of a call from Python, and no paths.
                done.gone.append(item)
        if prune:
            self._dropped.update(done.gone)
        new = {path: _state(path) for path in given}
        new = [
            (path, state)
            for path, state in new.items()
            if path not in there or states.get(there[path]) != state
        ]
        starts = range(0, len(new), batch_size)
        try:
            saved = time.monotonic()
            for low in progress.track(starts, len(starts), "Indexing"):
                self._encode(
                    new[low : low + batch_size], encode, there, given, done
                )
                if time.monotonic() - saved > every:
                    began = time.monotonic()
                    self.save()
                    saved = time.monotonic()
                    # A large index takes long to write: a tenth of the time.
                    every = max(every, 9 * (saved - began))
        finally:
            if self._waiting or self._dropped:
                self.save()
        return done

    def _encode(self, batch, encode, there, given, done):
        """Encodes some files, which wait to be saved from then on."""
        codes, kept, bad = encode([path for path, _ in batch])
        for place, reason in bad.items():
            path = batch[place][0]
            done.refused[given[path]] = reason
            if path in there:
                # Its code is that of what it was.
                self._dropped.add(there[path])
        for code, place in zip(codes, kept):
            path, state = batch[place]
            self._waiting[self._id(path)] = code, state
            if path not in there:
                done.added += 1
                continue
            done.changed += 1
            if there[path] != self._id(path):
                self._dropped.add(there[path])

    def save(self):
        """Writes what has come and gone, on top of what others wrote."""
        with files.locked(self.path):
            self._load()
            index, states = self.index, dict(self._states())
            named = self.named
            ids = set(index.ids.tolist())
            index.remove(list(ids & (self._dropped | self._waiting.keys())))
            runtimes = self._runtimes() if len(index) else set()
            if self._waiting:
                runtimes.add(self._runtime)
                codes = [code for code, _ in self._waiting.values()]
                index.add(np.stack(codes), list(self._waiting))
            states |= {i: state for i, (_, state) in self._waiting.items()}
            if named:
                index.about = {**index.about, **self.maker}
            index.about.pop("runtimes", None)
            if runtimes - {"keras"}:
                index.about["runtimes"] = sorted(runtimes)
            fields, arrays = index._to_parts()
            columns = np.array(
                [states.get(i, (-1, -1)) for i in index.ids.tolist()], "int64"
            ).reshape(-1, 2)
            arrays |= dict(zip(_COLUMNS, columns.T))
            storage.write(self.path, fields, arrays)
            self._waiting, self._dropped, self._read = {}, set(), None
            self._load()

    def search(self, codes, k, radius=None):
        """For each query a list of `(path, distance)`, nearest first.

        Distances are Hamming's. Of real codes, the magnitudes at the bits that
        differ order the nearest, and so those at one distance.
        """
        real = codes.dtype.kind == "f"
        packed = pack(codes) if real else codes
        if radius is None:
            most = max(k, asymmetric.CANDIDATES) if real else k
            distances, ids = self.index.search(packed, k=most)
            rows = zip(ids.tolist(), distances.tolist())
            found = [list(zip(*row)) for row in rows]
        else:
            bounds, distances, ids = self.index.range_search(packed, radius)
            pairs = list(zip(ids.tolist(), distances.tolist()))
            ends = itertools.pairwise(bounds)
            found = [pairs[low:high] for low, high in ends]
        if real:
            self._order(codes, found)
        return [[(self.place(i), d) for i, d in row[:k]] for row in found]

    def _order(self, real, found):
        """Orders the nearest that were found by the queries' real codes."""
        most = asymmetric.CANDIDATES
        _, ids = self.index.search(real_codes=real, k=most)
        for row, nearest in zip(found, ids.tolist()):
            rank = {item: place for place, item in enumerate(nearest)}
            row.sort(key=lambda pair: rank.get(pair[0], most))


# Arrays in the file of the index, beside those of `Index`.
_COLUMNS = ("file_sizes", "file_times")


def _check_columns(path, columns, count):
    """Refuses other sizes and times of files than `PhotoIndex.save` writes."""
    for name, column in zip(_COLUMNS, columns):
        kind = getattr(column, "dtype", None), getattr(column, "shape", None)
        if kind != (np.dtype("int64"), (count,)):
            raise ValueError(
                f"{path} should have `{name}` int64 [{count}], one an item: "
                "it was not written by `keras-hash search`. "
                f"Received: dtype={kind[0]}, shape={kind[1]}"
            )


def _is_file(path, real):
    """Whether there is a file, and no link in its place or that of a folder
    above, by `real`, an `os.path.realpath` that remembers."""
    try:
        regular = stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False
    folder = os.path.dirname(path)
    return regular and real(folder) == folder


def _state(path):
    """Size and time of a file, by which a change shows; -1 if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def nearest(
    benchmark,
    parts,
    bits,
    path,
    name,
    queries=10,
    k=10,
    similarity="hamming",
):
    """Searches some queries, of different classes first, and draws the result.

    `parts` holds the codes of `query` and `database`, `name` is the encoder's.
    """
    from keras_hash import figures
    from keras_hash.data import images

    query, database = benchmark.parts["query"], benchmark.parts["database"]
    order = np.random.RandomState(0).permutation(len(query))
    labels = benchmark.targets[query[order]]
    _, first = np.unique(labels, axis=0, return_index=True)

    def small(place):
        return images.thumbnail(benchmark.images[place], 256)

    chosen = order[first][:queries]
    index = Index(bits, parts["database"], similarity=similarity)
    distances, ids = index.search(parts["query"][chosen], k=k)
    found = database[ids]
    labels, other = benchmark.targets[query[chosen]], benchmark.targets[found]
    if benchmark.multi_label:
        relevant = (labels[:, None] & other).any(axis=-1)
    else:
        relevant = labels[:, None] == other
    figures.gallery(
        [small(place) for place in query[chosen]],
        [[small(place) for place in row] for row in found],
        distances,
        relevant,
        path,
        title=f"{name}: nearest of {len(database)} images, Hamming distance "
        f"of {bits} bits",
    )

"""Encodes, adds, searches, removes, saves and reads again, for an hour.

    python tools/soak.py [--minutes 60] [--items 1000000] [--seed 0]

Two indexes live through it: one of numbers, by Hamming distance, and one of
names, a tenth as large, by ones in common. Each turn encodes images, whose
codes have to be those of the first time, adds them and drawn codes, half of
them repeated, removes as many, and searches: the nearest, all up to a distance,
and among some. Now and then an index is saved, and what is read again, mapped
into memory or not, goes on in its place. Beside each lies what it should hold,
in plain arrays: all answers are compared with a sort of all distances, and all
ids and codes after each reading.

Prints memory and counts each minute. Exit code 1 says that an answer was
another one, that files were left beside the index, or that memory at the end
was not within 5 % of that at the start.
"""

import argparse
import collections
import gc
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

import keras_hash

BITS = 64
QUERIES = 4
METHODS = {
    "hamming": ("auto", "scan", "multi-index"),
    "and": ("auto", "scan"),
}
# How much more or less memory there may be at the end.
FLAT = 0.05


def resident():
    """Memory of this process in MiB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Plain:
    """What an index should hold: codes and numbers in the order of addition."""

    def __init__(self, similarity, named):
        self.similarity, self.named = similarity, named
        self.codes = np.zeros((0, BITS // 8), "uint8")
        self.numbers = np.zeros(0, "int64")
        self.following = 0

    def ids(self, numbers):
        """What items are called: numbers, or names that are no ASCII."""
        if not self.named:
            return numbers
        return np.array([f"fotoš/{n}.jpg" for n in numbers.tolist()], object)

    def add(self, codes):
        numbers = np.arange(self.following, self.following + len(codes))
        self.following += len(codes)
        self.codes = np.concatenate([self.codes, codes])
        self.numbers = np.concatenate([self.numbers, numbers])
        return self.ids(numbers)

    def remove(self, places):
        gone = self.ids(self.numbers[places])
        self.codes = np.delete(self.codes, places, axis=0)
        self.numbers = np.delete(self.numbers, places)
        return gone

    def distances(self, query):
        both = self.codes & query
        if self.similarity == "hamming":
            both = self.codes ^ query
        ones = np.bitwise_count(both).sum(axis=1, dtype="int32")
        return ones if self.similarity == "hamming" else BITS - ones

    def ranking(self, query, places=None):
        """Distances and places of items, nearest first, ties by age."""
        places = np.arange(len(self.codes)) if places is None else places
        far = self.distances(query)[places]
        order = np.argsort(far.astype("uint8"), kind="stable")
        return far[order], places[order]


class Soak:
    """An index, what it should hold, and what was done to both."""

    def __init__(self, name, items, path, random):
        similarity = "and" if name == "names" else "hamming"
        self.name, self.items, self.path = name, items, path
        self.random, self.done = random, collections.Counter()
        self.plain = Plain(similarity, name == "names")
        self.index = keras_hash.Index(BITS, similarity=similarity)
        self.differences = []
        self.add(self.drawn(items))

    def drawn(self, count):
        """Codes, half of which are there already or close to such a one."""
        codes = self.random.randint(0, 256, (count, BITS // 8), "uint8")
        old = self.plain.codes if len(self.plain.codes) else codes
        again = old[self.random.randint(len(old), size=count // 2)]
        flip = self.random.randint(0, 8, again.shape) == 0
        codes[: len(again)] = again ^ (flip & (again[:, :1] % 2 == 0))
        return codes

    def expect(self, what, same):
        self.done[what] += 1
        if not same:
            turn = self.done["turns"]
            self.differences.append(f"{self.name}, turn {turn}: {what}")
            print("DIFFERENT:", self.differences[-1], flush=True)

    def add(self, codes):
        self.index.add(codes, self.plain.add(codes))
        self.done["added"] += len(codes)

    def remove(self, count):
        places = self.random.permutation(len(self.plain.codes))[:count]
        self.index.remove(self.plain.remove(places))
        self.done["removed"] += count

    def turn(self, codes):
        """Adds these codes and others, removes as many, and searches."""
        self.done["turns"] += 1
        before = len(self.plain.codes)
        self.add(codes)
        for _ in range(self.random.randint(1, 4)):
            self.add(self.drawn(self.random.randint(1, self.items // 50)))
        self.search()
        self.remove(len(self.plain.codes) - before)
        self.search()

    def queries(self):
        """Codes that are there, some bits changed, and random ones."""
        asked = self.drawn(2 * QUERIES)
        return asked[QUERIES // 2 :][:QUERIES]

    def search(self):
        random, plain = self.random, self.plain
        asked = self.queries()
        rankings = [plain.ranking(code) for code in asked]
        k = int(10 ** random.uniform(0, 3))
        levels, ids = self.index.search(asked, k=k)
        for row, (far, places) in enumerate(rankings):
            named = plain.ids(plain.numbers[places[:k]])
            same = np.array_equal(levels[row], far[:k])
            self.expect("searches", same and np.array_equal(ids[row], named))
        # No more than some thousand are found.
        radius = min(int(far[min(999, len(far) - 1)]) for far, _ in rankings)
        bounds, levels, ids = self.index.range_search(asked, radius)
        for row, (far, places) in enumerate(rankings):
            part = slice(bounds[row], bounds[row + 1])
            count = int((far <= radius).sum())
            named = plain.ids(plain.numbers[places[:count]])
            same = np.array_equal(levels[part], far[:count])
            self.expect("ranges", same and np.array_equal(ids[part], named))
        some = np.sort(random.permutation(len(plain.codes))[:500])
        among = plain.ids(plain.numbers[some])
        levels, ids = self.index.search(asked, k=20, among=among)
        for row, code in enumerate(asked):
            far, places = plain.ranking(code, some)
            named = plain.ids(plain.numbers[places[:20]])
            same = np.array_equal(levels[row], far[:20])
            self.expect("among", same and np.array_equal(ids[row], named))

    def save(self):
        """Writes the index and goes on with what is read again."""
        about = {"turn": self.done["turns"]}
        self.index.save(self.path, about=about)
        left = sorted(p.name for p in self.path.parent.iterdir())
        self.expect("saved", left == [self.path.name])
        methods = METHODS[self.plain.similarity]
        number = self.done["saved"]
        self.index = keras_hash.Index.load(
            self.path,
            mmap=number % 2 == 0,
            method=methods[number % len(methods)],
        )
        same = np.array_equal(self.index.codes, self.plain.codes)
        named = self.plain.ids(self.plain.numbers)
        same = same and np.array_equal(self.index.ids, named)
        self.expect("read again", same and self.index.about == about)


def encoder():
    """A model whose weights are drawn, images, and their codes."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras_hash.models.DPSH(BITS, 10)
    images, _ = keras_hash.data.load("digits").arrays("query")
    batches = images[:256].reshape(8, 32, *images.shape[1:])
    return model, batches, [model.encode(b, verbose=False) for b in batches]


def flat(samples):
    """Memory at the start and at the end, and whether it is as much."""
    part = max(1, len(samples) // 5)
    first, last = (
        statistics.median(some) for some in (samples[:part], samples[-part:])
    )
    return first, last, abs(last / first - 1) <= FLAT


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    random = np.random.RandomState(chosen.seed)
    model, batches, known = encoder()
    with tempfile.TemporaryDirectory() as folder:
        soaks = []
        for name, items in (("numbers", 1.0), ("names", 0.1)):
            place = pathlib.Path(folder, name)
            place.mkdir()
            items = max(100, int(items * chosen.items))
            soaks.append(Soak(name, items, place / f"{name}.index", random))
        # All that is made once is there before time counts.
        for _ in range(2):
            for soak in soaks:
                soak.turn(known[0])
                soak.save()
        samples, end = run(soaks, model, batches, known, chosen.minutes)
    done = sum((soak.done for soak in soaks), collections.Counter())
    differences = [one for soak in soaks for one in soak.differences]
    first, last, same = flat(samples)
    print(f"{end / 60:.1f} minutes, {len(samples)} turns: {dict(done)}")
    print(f"{len(differences)} answers differ")
    print(
        f"memory {first:.0f} MiB at the start, {last:.0f} at the end "
        f"({100 * (last / first - 1):+.1f} %): {'flat' if same else 'NOT FLAT'}"
    )
    return bool(differences) or not same


def run(soaks, model, batches, known, minutes):
    """Takes turns for some minutes; memory after each, and the seconds."""
    began, told, samples = time.monotonic(), 0, []
    while (seconds := time.monotonic() - began) < 60 * minutes:
        turn = len(samples)
        soak = soaks[turn % len(soaks)]
        place = turn % len(batches)
        codes = model.encode(batches[place], verbose=False)
        soak.expect("encoded", np.array_equal(codes, known[place]))
        soak.turn(codes)
        if turn // len(soaks) % 3 == 0:
            soak.save()
        gc.collect()
        samples.append(resident())
        if seconds >= 60 * told:
            told += 1
            wrong = sum(len(one.differences) for one in soaks)
            print(
                f"minute {seconds / 60:.0f}: {samples[-1]:.0f} MiB, "
                f"{len(samples)} turns, {wrong} differences",
                flush=True,
            )
    return samples, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

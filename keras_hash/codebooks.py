"""Code books: the target codes that methods give to classes and sub-classes.

Constructions return centres, `int8 [num_classes, bits]` of +1 and -1; equal
seeds give equal ones. They refuse numbers of bits and classes that they cannot
do. CPBC and KBC are those of Luo et al. 2021, section 3.2 (`methods/dshc.py`),
centres from Hadamard matrices and coins of Yuan et al. 2020 (`methods/csq.py`),
the greedy search of Fan et al. 2020 (`methods/dpn.py`), the distance of
separated ones of Wang et al. 2023 (`methods/mdshc.py`).
"""

import functools
import math
import warnings

import keras
import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.codes import check_int
from keras_hash.codes import ones_of_words
from keras_hash.codes import pack
from keras_hash.codes import words

# KBC clusters all 2**bits codes.
KBC_MOST_BITS = 16


def cpbc(bits, num_classes):
    """Centre-point-based construction: +1 in a block of bits of the class.

    Blocks have `H = bits / num_classes` bits, so any two centres differ in
    `2 * H`. Codes with one bit flipped stay apart only for `H >= 3`.
    """
    check_int(num_classes, "num_classes", 2)
    if bits < num_classes or bits % num_classes:
        near = max(round(bits / num_classes), 3) * num_classes
        raise ValueError(
            "CPBC gives every class the same number of bits, so `bits` should "
            f"be a multiple of `num_classes`, for example bits={near}; "
            f'`codebook="kbc"` takes any number up to {KBC_MOST_BITS}. '
            f"Received: bits={bits}, num_classes={num_classes}"
        )
    per_class = bits // num_classes
    if per_class < 3:
        warnings.warn(
            f"CPBC with {per_class} bits a class (bits={bits}, "
            f"num_classes={num_classes}) puts codes of different classes as "
            f"near as {2 * per_class - 2} bits, while codes of one class lie "
            "up to 2 apart: retrieval suffers even if every image is "
            f"classified correctly. Use bits={3 * num_classes} or more.",
            stacklevel=2,
        )
    own = np.repeat(np.eye(num_classes, dtype="int8"), per_class, axis=1)
    return 2 * own - 1


def subclasses(centres):
    """Each centre, then with one bit flipped; and the class of each code.

    These are `int8 [num_classes * (bits + 1), bits]` and `int32`.
    """
    num_classes, bits = centres.shape
    flips = np.ones((bits + 1, bits), "int8")
    flips[np.arange(1, bits + 1), np.arange(bits)] = -1
    codes = centres[:, None, :] * flips[None]
    classes = np.repeat(np.arange(num_classes, dtype="int32"), bits + 1)
    return codes.reshape(-1, bits), classes


@functools.lru_cache(maxsize=8)
def kbc(bits, num_classes, seed=0):
    """K-means-based construction: rounded centroids of all `2**bits` codes.

    From a random start the result is not well defined (most starts put centres
    nearer than 3 bits), so this library starts from a randomised max-min code,
    and draws again if two centres come out nearer than 3.
    """
    if not 1 <= bits <= KBC_MOST_BITS or num_classes < 2:
        raise ValueError(
            f"KBC clusters all 2**bits codes, for up to {KBC_MOST_BITS} bits "
            "and at least 2 classes; use CPBC for longer codes. "
            f"Received: bits={bits}, num_classes={num_classes}"
        )
    from sklearn import cluster

    random = np.random.RandomState(seed)
    every = np.arange(1 << bits)
    points = (every[:, None] >> np.arange(bits)[::-1]) & 1
    for _ in range(20):
        start = _max_min_code(bits, num_classes, random)
        if start is None:
            break
        means = cluster.KMeans(
            num_classes, init=points[start].astype("float64"), n_init=1
        ).fit(points)
        # Half rounds up.
        centres = np.floor(means.cluster_centers_ + 0.5).astype("int8")
        apart = (centres[:, None] != centres).sum(axis=-1)
        if apart[~np.eye(num_classes, dtype=bool)].min() >= 3:
            return 2 * centres - 1
    raise ValueError(
        "KBC needs class centres at least 3 bits apart, and found none. Use "
        f"more bits. Received: bits={bits}, num_classes={num_classes}"
    )


def _max_min_code(bits, num_classes, random, restarts=30, candidates=16):
    """Codes, as numbers, far from each other; `None` below distance 3.

    Of some that are far enough, the one that leaves most choice comes next.
    """
    every = np.arange(1 << bits)
    ones = np.bitwise_count(every)
    for distance in range(bits, 2, -1):
        for _ in range(restarts):
            free, chosen = every, []
            while len(chosen) < num_classes and len(free):
                tried = free[random.randint(len(free), size=candidates)]
                # The first of all leaves as much as any other would.
                tried = tried if chosen else tried[:1]
                left = ones[tried[:, None] ^ free] >= distance
                best = left.sum(axis=1).argmax()
                chosen.append(tried[best])
                free = free[left[best]]
            if len(chosen) == num_classes:
                return np.array(chosen)
    return None


def apart(codes, classes, centres):
    """The sub-classes at least 3 bits from the centre of every other class.

    The paper filters by a "threshold 3" and gives no rule; from random starts
    this one can leave its 74 codes, from the start of `kbc` 110.
    """
    distances = (codes[:, None] != centres).sum(axis=-1)
    distances[np.arange(len(codes)), classes] = codes.shape[1]
    kept = distances.min(axis=1) >= 3
    return codes[kept], classes[kept]


def dshc_table(bits, num_classes, construction="cpbc", seed=0):
    """The code book of DSHC: the codes of all sub-classes, and their classes.

    The sub-classes of a class stand together, its centre first.
    """
    if construction == "cpbc":
        return subclasses(cpbc(bits, num_classes))
    if construction == "kbc":
        centres = kbc(bits, num_classes, seed)
        return apart(*subclasses(centres), centres)
    raise ValueError(
        "`codebook` should be 'cpbc' or 'kbc'. "
        f"Received: codebook={construction!r}"
    )


def nearest_to(codes, classes):
    """For two classes the place of the sub-class of the first one that is
    nearest to the centre of the second, and of these farthest from those of all
    others; `int64 [num_classes, num_classes]`, centres on the diagonal."""
    first = np.unique(classes, return_index=True)[1]
    distances = (codes[:, None] != codes[first]).sum(axis=-1)
    most = distances.size * codes.shape[1]
    distances = most * distances - distances.sum(axis=1, keepdims=True)
    parts = np.split(distances, first[1:])
    found = [part.argmin(axis=0) for part in parts]
    return np.where(np.eye(len(first)), 0, found) + first[:, None]


def hadamard(bits, num_classes, seed=0):
    """Class centres half of the code length apart: rows of a Hadamard matrix,
    then of its negative; codes of `balanced` where there are not enough."""
    if bits & (bits - 1) or num_classes > 2 * bits:
        return balanced(bits, num_classes, seed)
    from scipy import linalg

    rows = linalg.hadamard(bits).astype("int8")
    return np.concatenate([rows, -rows])[:num_classes]


def balanced(bits, num_classes, seed=0):
    """Random class centres with as many +1 as -1, far from each other.

    By a third of the code length, as in the authors' notebook, or less if that
    cannot be found: at 64 bits 22 for 1,000 classes, 16 for 50,000. An odd
    length has one more +1.
    """
    half = np.where(np.arange(bits) % 2, -1, 1).astype("int8")

    def draw(random, count):
        return random.permuted(np.tile(half, (count, 1)), axis=1)

    return _far_codes(bits, num_classes, seed, draw, bits / 3)


def max_min(bits, num_classes, seed=0):
    """Random class centres by a greedy search for the largest distance.

    It starts at 0.61 of the code length, as the authors' code, and finds 16
    bits for 50,000 classes of 64.
    """
    return _far_codes(bits, num_classes, seed, _coins(bits), 0.61 * bits)


def random_codes(bits, num_classes, seed=0):
    """Random class centres, every bit a fair coin, no two equal."""
    return _far_codes(bits, num_classes, seed, _coins(bits), 1)


def _coins(bits):
    return lambda random, count: np.where(
        random.random((count, bits)) < 0.5, -1, 1
    ).astype("int8")


def _far_codes(bits, num_classes, seed, draw, distance, tries=10_000):
    """Codes at least `distance` apart, or a bit less after many refusals.

    For up to 1,000 classes that is a round of draws without one to keep; for
    more, one with few to keep, so that their number costs seconds.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    few = min(max(num_classes**2 // 600_000, 1), tries // 2)
    kept = np.zeros((0, bits), "int8")
    while len(kept) < num_classes:
        found = draw(random, tries)
        places = _apart(found, kept, distance, num_classes - len(kept))
        kept = np.concatenate([kept, found[places]])
        # Below 2 bits codes only have to differ: they are drawn to the last.
        if len(places) < (few if distance > 1 else 1):
            distance -= 1
        if distance <= 0:
            raise ValueError(
                "There are not enough codes for one a class: use more bits. "
                f"Received: bits={bits}, num_classes={num_classes}"
            )
    return kept


def _apart(found, kept, distance, most):
    """The places of up to so many codes that are at least so far from those
    that were kept, and from those before them."""
    found, kept = words(pack(found)), words(pack(kept))
    if distance <= 1:
        both = np.concatenate([kept, found])
        _, first = np.unique(both, axis=0, return_index=True)
        return np.sort(first[first >= len(kept)])[:most] - len(kept)
    places, chosen = _far_from(found, kept, distance), []
    while len(places) and len(chosen) < most:
        chosen.append(places[0])
        ones = _distances(found[places], found[places[:1]])
        places = places[ones[:, 0] >= distance]
    return np.array(chosen, int)


def _far_from(found, kept, distance, rows=256, chunk=1024):
    """The places of those that are at least so far from all that were kept."""
    far = []
    for top in range(0, len(found), rows):
        places = np.arange(top, min(top + rows, len(found)))
        # Most are near to one of the first already.
        for low in range(0, len(kept), chunk):
            ones = _distances(found[places], kept[low : low + chunk])
            places = places[ones.min(axis=1) >= distance]
        far.append(places)
    return np.concatenate(far)


def _distances(a, b):
    """Hamming distances between all pairs of codes as words."""
    return ones_of_words(a.T[:, :, None], b.T[:, None], "xor")


def separation(bits, num_classes):
    """The distance that `separated` keeps: the smallest one at which the
    Gilbert-Varshamov bound no longer promises so many codes."""
    distance, ball = 1, 1
    while ball * num_classes < 2**bits:
        ball += math.comb(bits, distance)
        distance += 1
    return distance


def separated(bits, num_classes, seed=0):
    """Class centres at least `separation` apart, and as far on average as bits
    allow that as many centres have +1 as -1.

    Random codes that are far enough, or in up to 16 bits the lexicographic ones
    where those do not suffice; then bits are flipped towards balance, for up to
    5,000 classes, as long as no distance falls too low. A warning says where
    centres that far apart are not found.
    """
    asked = separation(bits, num_classes)
    random = np.random.RandomState(seed)
    centres = _far_codes(bits, num_classes, seed, _coins(bits), asked)
    distance = _smallest_distance(centres)
    if distance < asked and bits <= KBC_MOST_BITS:
        found = _lexicode(bits, asked)
        if len(found) >= num_classes:
            centres = found[random.permutation(len(found))[:num_classes]]
            distance = asked
    if distance < asked:
        warnings.warn(
            f"The centres of {num_classes} classes are {distance} bits apart "
            f"at least, and not {asked}: no such codes were found. "
            f"Received: bits={bits}, num_classes={num_classes}",
            stacklevel=2,
        )
    if num_classes <= 5_000:
        _balance(centres, min(distance, asked))
    return centres


def _smallest_distance(codes):
    found = words(pack(codes))
    nearest = codes.shape[1]
    for row in range(1, len(found)):
        ones = _distances(found[:row], found[row : row + 1])
        nearest = min(nearest, int(ones.min()))
    return nearest


def _lexicode(bits, distance):
    """Every code that is far enough from those before it, in their order."""
    every = np.arange(1 << bits)
    near = every[np.bitwise_count(every) < distance]
    free, chosen = np.ones(1 << bits, bool), []
    for number in every:
        if free[number]:
            chosen.append(number)
            free[number ^ near] = False
    ones = (np.array(chosen)[:, None] >> np.arange(bits)[::-1]) & 1
    return (2 * ones - 1).astype("int8")


def _balance(codes, distance):
    """Flips bits in place until as many codes have +1 as -1, as far as all stay
    `distance` apart: the mean distance is then the largest there is."""
    wide = codes.astype("float32")
    apart = ((codes.shape[1] - wide @ wide.T) / 2).astype("int16")
    for column in codes.T:
        more = 1 if column.sum() > 0 else -1
        # The distance of each code to those that have the other bit.
        other = column != more
        spare = apart[:, other].min(axis=1, initial=codes.shape[1] + 1)
        for _ in range(abs(int(column.sum(dtype="int64"))) // 2):
            able = np.where(column == more, spare, 0)
            place = able.argmax()
            if able[place] <= distance:
                break
            column[place] = -more
            apart[place] += np.where(column == more, 1, -1).astype("int16")
            apart[place, place] = 0
            apart[:, place] = apart[place]
            spare = np.minimum(spare, apart[place])


# The ways to choose one target code for each class.
CONSTRUCTIONS = {
    "hadamard": hadamard,
    "balanced": balanced,
    "max_min": max_min,
    "random": random_codes,
    "separated": separated,
}


def majority(labels, centres, tie):
    """The target code of images with several labels, bit by bit; `tie` where
    as many centres have +1 as -1."""
    votes = ops.matmul(labels, ops.convert_to_tensor(centres))
    return ops.where(votes == 0, tie, ops.sign(votes))


@keras.saving.register_keras_serializable(package="keras_hash")
class CodeBook(keras.layers.Layer):
    """Target codes and their classes, kept as weights that are not trained.

    They are saved with a model, so a loaded model never draws them anew.
    """

    def __init__(self, codes, classes, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        heads.constant(self, "codes", codes.shape).assign(codes)
        heads.constant(self, "classes", classes.shape, "int32").assign(classes)
        self.built = True

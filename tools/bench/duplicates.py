"""Duplicates: how fast pairs are found, and which copies of photos.

    python tools/bench/duplicates.py [--items 1000000] [--quality]

Random codes, of 64 and 256 bits, with a thousand planted pairs for each radius:
`Index.pairs` against FAISS' range search and a comparison by NumPy, whose times
for `--queries` of the codes are multiplied by what is left. All find the same
pairs, which is checked for these queries.

`--quality` changes 500 photos of Corel-5K and MIRFLICKR in many ways: the share
of the copies that each code finds at the radius where one in a million pairs of
photos from both sets is as near, and that `keras-hash duplicates` finds. Where
imagededup can be imported, its perceptual hashes too. Needs the data.
"""

import argparse
import functools
import io
import resource
import time

import faiss
import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageOps

import keras_hash
from keras_hash import codes as codes_lib

RADII = {64: (0, 2, 4, 6), 256: (0, 2, 4, 6, 16, 40)}
PLANTED, PHOTOS, OTHERS = 1000, 500, 10_000


def planted(items, bits, radius, random):
    """Random codes of which a thousand pairs differ in so many bits."""
    codes = random.randint(0, 256, (items, bits // 8)).astype("uint8")
    one, other = random.permutation(items)[: 2 * PLANTED].reshape(2, -1)
    codes[other] = codes[one]
    for place in range(PLANTED):
        for bit in random.permutation(bits)[:radius]:
            codes[other[place], bit // 8] ^= 1 << (bit % 8)
    return codes


def speed(items, bits, queries, radii):
    random = np.random.RandomState(0)
    for radius in radii or RADII[bits]:
        codes = planted(items, bits, radius, random)
        index = keras_hash.Index(bits, codes)
        # What is compiled and grouped once.
        index.search(codes[:1])
        list(keras_hash.Index(bits, codes[:5000]).pairs(1))
        began = time.perf_counter()
        found = [np.stack(part) for part in index.pairs(radius)]
        ours = time.perf_counter() - began
        found = np.concatenate(found, axis=1)
        part = codes[:queries]
        flat = faiss.IndexBinaryFlat(bits)
        flat.add(codes)
        began = time.perf_counter()
        bounds, _, near = flat.range_search(part, radius + 1)
        # Each pair is compared from both of its ends.
        theirs = (time.perf_counter() - began) * items / queries
        rows = np.repeat(np.arange(queries), np.diff(bounds.astype("int64")))
        later = near > rows
        expected = set(zip(rows[later], near[later]))
        assert expected == {(a, b) for a, b in found[:2].T if a < queries}
        began = time.perf_counter()
        for row in range(min(20, queries)):
            words = codes_lib.words(codes[row : row + 1])
            codes_lib.ones_of_words(words.T, codes_lib.words(codes).T, "xor")
        brute = (time.perf_counter() - began) / min(20, queries) * items / 2
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{items:,} x {bits} bits, radius {radius}: {found.shape[1]} pairs "
            f"in {ours:.2f} s; FAISS {theirs / ours:.0f} times, NumPy "
            f"{brute / ours:.0f} times as long; peak {peak} MiB",
            flush=True,
        )


def stored(photo, quality):
    file = io.BytesIO()
    photo.save(file, "jpeg", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(photo, share):
    x, y = (round(share * side / 2) for side in photo.size)
    return photo.crop((x, y, photo.width - x, photo.height - y))


def written_on(photo):
    photo = photo.copy()
    draw = ImageDraw.Draw(photo)
    text = dict(fill="white", font_size=photo.height // 8)
    draw.text((photo.width // 12, photo.height * 3 // 4), "Summer 98", **text)
    return photo


CHANGES = {
    "JPEG, quality 30": lambda photo: stored(photo, 30),
    "JPEG, quality 10": lambda photo: stored(photo, 10),
    "halved": lambda photo: photo.resize(
        (photo.width // 2, photo.height // 2), Image.Resampling.BICUBIC
    ),
    "doubled": lambda photo: photo.resize(
        (photo.width * 2, photo.height * 2), Image.Resampling.BICUBIC
    ),
    "mirrored": ImageOps.mirror,
    "grey": lambda photo: photo.convert("L").convert("RGB"),
    "cropped by 5 %": lambda photo: cropped(photo, 0.05),
    "cropped by 10 %": lambda photo: cropped(photo, 0.1),
    "cropped by 20 %": lambda photo: cropped(photo, 0.2),
    "turned by 2 degrees": lambda photo: photo.rotate(2, Image.BICUBIC),
    "turned by 5 degrees": lambda photo: photo.rotate(5, Image.BICUBIC),
    "text": written_on,
}


def pixels(photos):
    return [np.asarray(photo) for photo in photos]


def coders():
    """From a name to a function from photos to packed codes."""
    found = {}
    for name in ("photos_256", "phash_256", "phash_64"):
        model = keras_hash.load(name)
        found[name] = functools.partial(model.encode, verbose=False)
    try:
        from imagededup import methods
    except ImportError:
        print("imagededup is not here: its hashes are left out")
        return found
    for name in ("PHash", "DHash", "WHash", "AHash"):
        hasher = getattr(methods, name)()

        def encode(photos, hasher=hasher):
            texts = [hasher.encode_image(image_array=x) for x in photos]
            return np.frombuffer(
                bytes.fromhex("".join(texts)), "uint8"
            ).reshape(len(texts), -1)

        found[f"imagededup {name}"] = encode
    return found


def distances(one, other):
    a, b = codes_lib.words(one), codes_lib.words(other)
    return codes_lib.ones_of_words(a.T[:, :, None], b.T[:, None], "xor")


def quality():
    sets = [
        [Image.fromarray(x) for x in keras_hash.data.load(name).images[:count]]
        for name, count in (("corel5k", None), ("mirflickr20k", OTHERS))
    ]
    pairs = len(sets[0]) * len(sets[1])
    random = np.random.RandomState(0)
    chosen = [
        sets[place % 2][number]
        for place, number in enumerate(
            random.permutation(min(map(len, sets)))[:PHOTOS]
        )
    ]
    copies = {
        kind: [change(photo) for photo in chosen]
        for kind, change in CHANGES.items()
    }
    near, table = {}, {}
    for name, encode in coders().items():
        sides = [encode(pixels(photos)) for photos in sets]
        counts = np.zeros(8 * sides[0].shape[1] + 1, "int64")
        false = []
        for start in range(0, len(sides[0]), 100):
            far = distances(sides[0][start : start + 100], sides[1])
            counts += np.bincount(far.ravel(), minlength=len(counts))
            false.append(far)
        total = np.cumsum(counts)
        strict, wide = (
            np.searchsorted(total, rate * pairs, "right") - 1
            for rate in (1e-6, 1e-4)
        )
        own = encode(pixels(chosen))
        far = {
            kind: np.diagonal(distances(own, encode(pixels(photos))))
            for kind, photos in copies.items()
        }
        table[f"{name}, radius {strict}"] = {
            kind: (found <= strict).mean() for kind, found in far.items()
        }
        if name in ("photos_256", "phash_256"):
            rows, columns = np.nonzero(np.concatenate(false) <= wide)
            false = np.concatenate(false)
            near[name] = (
                {kind: (f <= wide, f <= strict) for kind, f in far.items()},
                {
                    pair: false[pair] <= strict
                    for pair in zip(rows.tolist(), columns.tolist())
                },
            )
    ours(sets, chosen, copies, near, table, pairs)
    print("\nShare of the copies that are found")
    for name, shares in table.items():
        print(f"\n{name}")
        for kind, share in shares.items():
            print(f"  {kind:22} {share:.3f}")


def ours(sets, chosen, copies, near, table, pairs):
    """What `keras-hash duplicates` does: near by a code, and a second look."""
    from keras_hash.search import alignment

    def look(photo):
        return alignment.Thumbnail(np.asarray(photo))

    own, shares = [look(photo) for photo in chosen], {}
    (general, one), (hashed, other) = near["photos_256"], near["phash_256"]
    for kind, photos in copies.items():
        seen, likely = general[kind][0] | hashed[kind][0], hashed[kind][1]
        found = [
            is_near and alignment.is_copy(photo, look(copy), is_likely)
            for is_near, is_likely, photo, copy in zip(
                seen, likely, own, photos
            )
        ]
        shares[kind] = np.mean(found)
    candidates = one | other
    false = [
        (a, b)
        for a, b in candidates
        if alignment.is_copy(
            look(sets[0][a]), look(sets[1][b]), other.get((a, b), False)
        )
    ]
    print(
        f"{len(candidates):,} of {pairs:,} false pairs are near, and "
        f"{len(false)} of these pass the second look: {false[:10]}"
    )
    table["keras-hash duplicates"] = shares


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--radii", type=int, nargs="+", help="default: many")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--quality", action="store_true")
    args = parser.parse_args()
    if args.quality:
        quality()
        return
    print(f"FAISS {faiss.__version__}, {faiss.omp_get_max_threads()} threads")
    for bits in args.bits:
        speed(args.items, bits, args.queries, args.radii)


if __name__ == "__main__":
    main()

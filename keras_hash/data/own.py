"""Benchmarks of your own images: a folder, a CSV file, arrays, a dataset.

Queries are drawn from all images, stratified by label; the others are the
training set and the database. What cannot be used is left out and named in one
warning and in `Benchmark.notes`.
"""

import hashlib
import itertools
import os
import warnings
from concurrent import futures

import numpy as np

from keras_hash import files
from keras_hash import progress
from keras_hash import similarity
from keras_hash.codes import as_array
from keras_hash.codes import check_int
from keras_hash.data import class_names
from keras_hash.data import draws
from keras_hash.data import folders
from keras_hash.data import images as pixels
from keras_hash.data import reading
from keras_hash.data import tables
from keras_hash.data.benchmark import Benchmark
from keras_hash.data.benchmark import listing

# Class folders of such names are parts of a set more likely than classes.
_PARTS = {"train", "training", "val", "valid", "validation", "dev"}
_PARTS |= {"test", "testing"}


def from_folder(path, query=0.1, validation=0.0, seed=0, labels=None):
    """A benchmark of a folder that holds one folder per class.

    Images may lie at any depth in the folder of their class; links are
    followed, hidden files and folders are passed over. They are read when they
    are asked for, see `images.ImageFiles`.

    Args:
        path: str or path of the folder; it is only read.
        query: float in [0, 1), share of every class that becomes queries, see
            `draws.draw`.
        validation: float in [0, 1), share of the other images, drawn likewise,
            that is cut off the training set.
        seed: int, seed of both draws.
        labels: optional list of str, the folders to use, in this order; all
            that hold images, sorted, by default.

    Returns:
        A `Benchmark`; ids are paths in the folder, such as `"cats/1.jpg"`.
        Files that are no images, and all but the first of files with the same
        content, are left out, with one warning. Another one says where classes
        are named `train`, `test` and the like.

    Raises:
        ValueError: `path` is no folder, there are fewer than two classes with
            images, a folder of `labels` is missing, or no image can be a query.
    """
    root = files.local(path)
    if not root.is_dir():
        raise ValueError(
            "`path` should be a folder that holds one folder per class. "
            f"Received: path={str(path)!r}, which is "
            f"{'a file' if root.exists() else 'not there'}"
        )
    draft = _Draft(root.resolve().name, query, validation, seed)
    if labels is not None:
        labels = class_names.distinct(labels, "labels")
    there = sorted(
        place.name
        for place in root.iterdir()
        if place.is_dir() and not folders.refused(place.name)
    )
    missing = sorted(set(labels or ()) - set(there))
    if missing:
        raise ValueError(
            f"`labels` should be folders in {root}: {', '.join(there)}. "
            f"Received: {', '.join(missing)}"
        )
    chosen = there if labels is None else labels
    _warn_of_parts(root, chosen)
    paths, left_out = folders.walk(root, set(chosen))
    for place, reason in left_out.items():
        kind = draft.hidden if reason == folders.HIDDEN else draft.skipped
        kind[place.relative_to(root).as_posix()] = reason
    members = {name: [] for name in chosen}
    for place in paths:
        name = place.relative_to(root).as_posix()
        top, *below = name.split("/", 1)
        if below:
            members[top].append((place, name, [top]))
        else:
            draft.skipped[name] = "not in the folder of a class"
    for name, inside in members.items():
        if not inside:
            draft.skipped[f"{name}/"] = "no images in the folder"
    paths, ids, classes = draft.usable(itertools.chain(*members.values()))
    present = set(itertools.chain(*classes))
    if labels is None:
        chosen = [name for name in chosen if name in present]
    if len(present) < 2:
        raise ValueError(
            f"{root} should hold one folder with images for each of two or "
            f"more classes. Received: {len(there)} folders, "
            f"{len(present)} with images{draft.reasons()}"
        )
    targets = class_names.numbered(classes, chosen, True)
    return draft.benchmark(pixels.ImageFiles(paths), targets, ids, chosen)


def from_csv(
    path,
    image_column,
    label_columns,
    separator=None,
    folder=None,
    query=0.1,
    validation=0.0,
    seed=0,
    labels=None,
    delimiter=",",
):
    """A benchmark of images that a CSV file lists with their labels.

    The file is UTF-8 with a line of column names. Each image has one row; one
    without labels stays, in training set and database. Labels are class
    numbers where one column, without `separator`, has a label in every row,
    and multi-hot otherwise.

    Args:
        path: str or path of the file.
        image_column: str, column of paths.
        label_columns: str, column of label names; or a list of columns, one a
            label, with 1 or 0 (also `true`, `false`, -1 or nothing).
        separator: optional str between several labels in one column, such as
            `"|"`.
        folder: folder that the paths start from; that of the file by default.
        query: as for `from_folder`; several labels are stratified jointly.
        validation: as for `from_folder`.
        seed: as for `from_folder`.
        labels: optional list of str, all labels, in their order. Defaults to
            the columns, or the sorted names that occur.
        delimiter: str between columns, such as `";"`.

    Returns:
        A `Benchmark`; ids are the paths as the file has them. Images that are
        missing or cannot be read, and all but the first of images with the
        same path or content, are left out, with one warning. Another one says
        that rows without a label make labels of one column multi-hot.

    Raises:
        ValueError: no such file or column, a quote without an end, a cell or a
            `delimiter` that makes no sense, an image with two rows of different
            labels (by their lines), or no image that can be used, or be a
            query.
    """
    path = files.local(path)
    tables.check_delimiter(delimiter)
    draft = _Draft(path.stem, query, validation, seed)
    columns = tables.columns_of(label_columns, separator)
    several = len(columns) > 1
    if labels is not None:
        labels = class_names.distinct(labels, "labels")
    root = path.parent if folder is None else files.local(folder)
    rows = tables.read(path, [image_column, *columns], delimiter)
    named = []
    for line, (image, *cells) in rows:
        where = f"{path}, line {line}"
        names = tables.names_of(cells, columns, separator, where)
        if labels is not None:
            class_names.check_known(names, labels, where)
        named.append((line, image, names))
    paths, ids, found = draft.usable(_listed(named, path, root, draft))
    if not ids:
        raise ValueError(
            f"{path} names no image that can be read in {root} (`folder`, "
            f"where its paths start): {len(rows)} rows{draft.reasons()}"
        )
    if labels is None:
        labels = (
            columns if several else class_names.in_order(set().union(*found))
        )
    single = not several and not separator
    blank = sum(not names for names in found)
    if single and blank:
        warnings.warn(
            f"{path.stem}: {blank} of {len(found)} images have no label, so "
            "labels are multi-hot, as where an image may have several; "
            "without these rows they are class numbers",
            stacklevel=2,
        )
    single = single and not blank
    targets = class_names.numbered(found, labels, single)
    return draft.benchmark(pixels.ImageFiles(paths), targets, ids, labels)


def from_arrays(
    images, labels, query=0.1, validation=0.0, seed=0, names=None, name="arrays"
):
    """A benchmark of images in memory.

    Args:
        images: `[n, h, w, 3]`, or grey `[n, h, w]` or `[n, h, w, 1]`, integers
            or floats in 0..255.
        labels: int or str `[n]`, or multi-hot `[n, num_classes]`.
        query: as for `from_csv`.
        validation: as for `from_folder`.
        seed: as for `from_folder`.
        names: optional list of str, the names of the labels. Defaults to the
            columns of a frame, the numbers, or the sorted names that occur.
        name: str, name of the benchmark.

    Returns:
        A `Benchmark`; ids are running numbers. All but the first of equal
        images are in no part, with one warning.

    Raises:
        ValueError: images or labels that do not fit this or each other, or no
            image can be a query.
    """
    draft = _Draft(name, query, validation, seed)
    # Of several sizes they come as a list, or in an array of objects.
    if isinstance(images, (list, tuple)) or np.asarray(images).ndim == 1:
        _check_one_size(images, "resize them, or store them as files")
    images = as_array(images, "images")
    if images.dtype.kind in "uif":
        pixels.check_values(images)
    images = _pixels(images[..., None] if images.ndim == 3 else images)
    names = similarity.columns(labels) if names is None else names
    labels = class_names.as_labels(labels)
    targets, names = class_names.targets_of(labels, names)
    if len(images) != len(targets) or not len(images):
        raise ValueError(
            "There should be images, each with a label or a row of labels. "
            f"Received: {len(images)} images, {len(targets)} labels"
        )
    ids = [str(i) for i in range(len(images))]
    used = [
        draft.is_new(hashlib.sha256(image).digest(), number, target.tobytes())
        for image, number, target in zip(images, ids, targets)
    ]
    return draft.benchmark(images, targets, ids, names, np.flatnonzero(used))


def from_dataset(
    dataset, image_size=None, query=0.1, validation=0.0, seed=0, names=None
):
    """A benchmark of a dataset, which is read into memory once.

    Args:
        dataset: finite `tf.data.Dataset` of `(image, label)` or of dicts with
            `image` and `label`, batched or not;
            images and labels as for `from_arrays`. Give it a fixed order, so
            that the same seed draws the same queries.
        image_size: int or `(height, width)` that images are resized to, as
            models do it; `None` where all have one size already.
        query: as for `from_csv`.
        validation: as for `from_folder`.
        seed: as for `from_folder`.
        names: optional list of str, the names of the labels. Defaults to the
            `class_names` of a dataset that Keras made of a folder.

    Returns:
        A `Benchmark`, as `from_arrays`.

    Raises:
        ValueError: an infinite dataset, one of other elements, images of
            several sizes without `image_size`, or as `from_arrays`.
    """
    size = None if image_size is None else pixels.pair(image_size)
    _check_shares(query, validation)
    if not reading.is_dataset(dataset):
        raise ValueError(
            "`dataset` should be a tf.data.Dataset of (image, label). "
            f"Received: {type(dataset).__name__}"
        )
    reading.finite(dataset, "dataset")
    if names is None:
        names = getattr(dataset, "class_names", None)
    images, labels = _read_all(dataset, size)
    _check_one_size(images, "pass `image_size=(height, width)` to resize them")
    images = np.stack(images) if images else np.zeros((0, 1, 1, 3), "uint8")
    return from_arrays(
        images, np.array(labels), query, validation, seed, names, "dataset"
    )


def _read_all(dataset, size):
    """Images, `uint8 [h, w, 3]` each, and labels of a finite dataset."""
    dataset = reading.pairs(dataset, "dataset")
    batches, steps = reading.stream(dataset, "dataset", 64, rank=3)
    images, labels, seen = [], [], []
    for some, label in progress.track(batches, steps, "Reading"):
        single = isinstance(some, tuple)
        for batch in [one[None] for one in some] if single else [some]:
            if batch.dtype != np.uint8 and batch.size:
                pixels.check_values(batch, raw=False)
                low, high = batch.min(), batch.max()
                seen.append((low, high, pixels.are_whole(batch, low, high)))
            batch = _pixels(batch)
            images += [pixels.fit(one, size or one.shape[:2]) for one in batch]
        labels += list(label)
    if seen:
        # Of all together: some of them alone may be nearly black.
        lows, highs, whole = zip(*seen)
        pixels.check_range(min(lows), max(highs), all(whole))
    return images, [
        one.decode() if isinstance(one, bytes) else one for one in labels
    ]


def _check_one_size(images, instead):
    """Refuses a list of images of several sizes."""
    shapes = sorted({np.shape(image) for image in images})
    if len(shapes) > 1:
        raise ValueError(
            f"Images should have one size; {instead}. "
            f"Received: {len(shapes)} shapes, such as "
            f"{shapes[0]} and {shapes[-1]}"
        )


def _check_shares(query, validation):
    for name, share in (("query", query), ("validation", validation)):
        draws.check_share(share, name)


def _warn_of_parts(root, names):
    """Warns where folders are named like parts of a set, not like classes."""
    parts = [name for name in names if name.lower() in _PARTS]
    if len(parts) > 1:
        warnings.warn(
            f"The folders of {root} are taken for classes, and {parts} are "
            "named like parts of a set: give the folder that holds one folder "
            "per class, such as "
            f"{root / parts[0]}.",
            stacklevel=3,
        )


class _Draft:
    """A benchmark in the making: how it is drawn, and what is left out."""

    def __init__(self, name, query, validation, seed):
        _check_shares(query, validation)
        # Another seed, one more, cuts the validation set.
        seed = check_int(seed, "seed", 0, (1 << 32) - 2)
        self.name, self.seed = name, seed
        self.query, self.validation = query, validation
        self.skipped, self.duplicates, self.hidden = {}, {}, {}
        self._contents = {}

    def usable(self, entries):
        """Paths, ids and labels of files that can be read, each content once.

        Of entries, which have all three.
        """
        entries = list(entries)

        def look(entry):
            reason = pixels.check(entry[0])
            return reason, None if reason else files.sha256(entry[0])

        # Pillow also warns of what is then refused, or does no harm.
        with (
            warnings.catch_warnings(action="ignore"),
            futures.ThreadPoolExecutor(pixels.threads()) as pool,
        ):
            looked, total = pool.map(look, entries), len(entries)
            show = total > 1000
            looked = list(progress.track(looked, total, "Checking files", show))
        kept = []
        for entry, (reason, digest) in zip(entries, looked):
            _, name, labels = entry
            if reason:
                self.skipped[name] = reason
            elif self.is_new(digest, name, labels):
                kept.append(entry)
        return [[entry[i] for entry in kept] for i in range(3)]

    def is_new(self, digest, name, labels):
        """Whether no image before had this content; notes which one had."""
        first, others = self._contents.setdefault(digest, (name, labels))
        if first == name:
            return True
        reason = f"same content as {first}"
        if sorted(labels) != sorted(others):
            reason += ", which has another label and is kept"
        self.duplicates[name] = reason
        return False

    def reasons(self):
        """What was left out, in short, for an error."""
        reasons = {**self.skipped, **self.duplicates}
        counts = folders.by_reason({**reasons, **self.hidden})
        such = f", such as {listing(reasons, 5)}" if reasons else ""
        return f"; left out: {counts}{such}" if counts else ""

    def benchmark(self, images, targets, ids, labels, used=None):
        """The benchmark of all images, or of those `used`; warns once."""
        used = np.arange(len(targets)) if used is None else used
        left_out = {**self.skipped, **self.duplicates}
        if left_out:
            warnings.warn(
                f"{self.name}: {len(left_out)} left out, all of them in "
                f"`benchmark.notes`: {listing(left_out)}",
                stacklevel=3,
            )
        drawn = draws.draw(targets[used], self.query, self.seed)
        if self.query and not len(drawn):
            raise ValueError(
                f"{self.name}: no image can be a query, because no label has "
                "two images or the share is too small (in Python, `query=0` "
                "goes without queries). "
                f"Received: {len(used)} images, query={self.query}"
            )
        query, rest = used[drawn], np.delete(used, drawn)
        held = draws.draw(targets[rest], self.validation, self.seed + 1)
        parts = draws.parts(np.delete(rest, held), query, rest)
        parts["validation"] = rest[held]
        return Benchmark(
            name=self.name,
            protocol=f"query={self.query}, seed={self.seed}",
            images=images,
            targets=targets,
            ids=np.array(ids, dtype=str),
            parts=parts,
            labels=[str(label) for label in labels],
            licence="not stated",
            notes={
                "skipped": self.skipped,
                "duplicates": self.duplicates,
                "hidden": self.hidden,
            },
        )


def _listed(rows, path, root, draft):
    """Path, id and labels of each image that is there, each path once."""
    seen = {}
    for line, image, names in rows:
        place = root / image
        key = os.path.normpath(place)
        if not image:
            draft.skipped[f"line {line}"] = "no image named"
        elif key in seen:
            first, others = seen[key]
            if sorted(names) != sorted(others):
                raise ValueError(
                    f"{path}, line {line}: {image} should have one row, with "
                    "all of its labels (see `separator`). "
                    f"Received: {names} here and {others} in line {first}"
                )
            draft.duplicates[f"line {line}"] = f"same image as line {first}"
        # Unlike `Path.is_file`, False for a name that no file can have.
        elif not os.path.isfile(place):
            draft.skipped[f"{image} (line {line})"] = "no such file"
        else:
            seen[key] = line, names
            yield place, image, names


def _pixels(images):
    """Raw pixels as `uint8 [n, h, w, 3]`."""
    number = images.dtype.kind in "uif"
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not number:
        raise ValueError(
            "Images should be [h, w, 3], or grey with one channel, integers or "
            "floats in 0..255. "
            f"Received: images.shape={images.shape}, dtype={images.dtype}"
        )
    if images.dtype != np.uint8:
        images = np.clip(np.round(images), 0, 255).astype("uint8")
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    return np.ascontiguousarray(images)

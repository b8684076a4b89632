"""`Benchmark`: a pool of labelled images and the parts a protocol makes."""

import dataclasses
import hashlib

import numpy as np

from keras_hash import devices
from keras_hash import forks
from keras_hash.data import draws
from keras_hash.data import folders
from keras_hash.data.images import ImageFiles
from keras_hash.data.images import fit
from keras_hash.data.images import pair

PARTS = ("train", "validation", "query", "database")


def _part(name, about):
    """A part of a benchmark as a property."""

    def dataset(benchmark):
        tf = devices.tensorflow(
            f"`.{name}`, a dataset,", f"take `.arrays({name!r})`"
        )
        forks.check()
        images, indices = benchmark.images, benchmark.parts[name]
        if isinstance(images, np.ndarray):
            return tf.data.Dataset.from_tensor_slices(benchmark.arrays(name))
        labels = tf.data.Dataset.from_tensor_slices(benchmark.targets[indices])
        return tf.data.Dataset.zip(images.dataset(indices), labels)

    return property(dataset, doc=f"`tf.data.Dataset` {about}.")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Images, labels and fixed index sets over them.

    `train`, `validation`, `query` and `database` are unbatched
    `tf.data.Dataset`s of `(image, label)`, raw, of their own sizes and in fixed
    order; `arrays` gives the same as numpy arrays, without TensorFlow.

    Attributes:
        name: str, dataset.
        protocol: str, how it is split.
        images: `uint8 [n, h, w, 3]`, the whole pool; or a pool that reads
            images when they are asked for, an `ImageFiles`.
        targets: int `[n]`, or multi-hot `uint8 [n, num_classes]`.
        ids: str `[n]`, the publisher's name of each image.
        parts: dict from part name to int indices into the pool.
        labels: list of str, class names.
        licence: str, licence or terms of the images.
        notes: dict, what was left out of own images: `"skipped"`,
            `"duplicates"` and `"hidden"`, each a dict from name to reason.
        mirrors: bool, whether an image and its mirror image mean the same, as
            those of digits do not.
    """

    name: str
    protocol: str
    images: np.ndarray
    targets: np.ndarray
    ids: np.ndarray
    parts: dict
    labels: list
    licence: str
    notes: dict = dataclasses.field(default_factory=dict)
    mirrors: bool = True

    train = _part("train", "of training `(image, label)`")
    validation = _part("validation", "cut from training; empty if none was")
    query = _part("query", "of query `(image, label)`")
    database = _part("database", "of database `(image, label)`")

    @property
    def num_classes(self):
        """int, number of classes or labels."""
        return len(self.labels)

    @property
    def image_size(self):
        """`(height, width)` of all images, or `None` for files."""
        if isinstance(self.images, np.ndarray):
            return self.images.shape[1:3]
        return None

    @property
    def multi_label(self):
        """bool, whether labels are multi-hot rows."""
        return self.targets.ndim == 2

    @property
    def checksum(self):
        """str, sha256 over the ids and labels of all parts, in order.

        The validation cut does not change it: it belongs to a training run.
        """
        digest = hashlib.sha256()
        train = np.sort(
            np.concatenate([self.parts["train"], self.parts["validation"]])
        )
        for part in ("train", "query", "database"):
            indices = train if part == "train" else self.parts[part]
            digest.update(f"{part} {len(indices)}\n".encode())
            # Names of files need not be valid UTF-8.
            names = "\n".join(self.ids[indices])
            digest.update(names.encode(errors="surrogateescape"))
            digest.update(self.targets[indices].astype("<i8").tobytes())
        return digest.hexdigest()

    def arrays(self, part, image_size=None):
        """One part as arrays.

        Args:
            part: `"train"`, `"validation"`, `"query"` or `"database"`.
            image_size: int or `(height, width)` that images are resized to, as
                models do it: bilinear with antialias.

        Returns:
            A pair: images `uint8 [n, h, w, 3]` and labels.

        Raises:
            ValueError: there is no such part, or its images have several sizes
                and no `image_size` is given.
        """
        if part not in PARTS:
            raise ValueError(
                f"`part` should be one of {PARTS}. Received: part={part!r}"
            )
        indices, targets = self.parts[part], self.targets[self.parts[part]]
        size = self.image_size if image_size is None else pair(image_size)
        if size is not None and size == self.image_size:
            return self.images[indices], targets
        images, found = self.images, []
        lazy = isinstance(images, ImageFiles)
        for image in images.iterate(indices) if lazy else images[indices]:
            size = size or image.shape[:2]
            if image_size is None and image.shape[:2] != size:
                raise ValueError(
                    f"The images of {self.name} have several sizes: pass "
                    "`image_size=(height, width)` to resize them. Received: "
                    f"{size} and {image.shape[:2]}"
                )
            found.append(fit(image, size))
        empty = np.empty((0, *(size or (0, 0)), 3), "uint8")
        return np.stack(found) if found else empty, targets

    def summary(self, top=10):
        """Counts, frequent labels, chance level and what was left out.

        Args:
            top: int, labels and names of files that are listed.

        Returns:
            str of several lines, to be printed.
        """
        parts = self.parts
        used = np.unique(np.concatenate([*parts.values()]).astype(int))
        targets = self.targets[used]
        if self.multi_label:
            counts = targets.sum(axis=0, dtype="int64")
        else:
            labelled = targets[targets >= 0]
            counts = np.bincount(labelled, minlength=self.num_classes)
        order = np.argsort(-counts, kind="stable")[:top]
        frequent = [f"{self.labels[i]} {counts[i]}" for i in order]
        more = f", and {len(counts) - top} more" if len(counts) > top else ""
        size = "their own sizes"
        if self.image_size:
            size = "{}x{} pixels".format(*self.image_size)
        rows = [
            ("images", f"{len(used)} of {size}"),
            *((name, str(len(indices))) for name, indices in parts.items()),
            ("labels", str(self.num_classes)),
            ("images of each", ", ".join(frequent) + more),
        ]
        if self.multi_label:
            sizes = targets.sum(axis=1, dtype="int64")
            mean = sizes.mean() if len(sizes) else 0.0
            rows.append(
                ("labels an image", f"{mean:.2f}; none: {(sizes == 0).sum()}")
            )
        query = parts["query"] if len(parts["query"]) else parts["database"]
        # Of very many queries an even sample, so that it takes seconds.
        query = query[:: -(-len(query) // 10_000) or 1]
        share = chance(self.targets[query], self.targets[parts["database"]])
        meaning = "that a query shares a label with an image"
        rows.append(("chance", f"{share:.4f}, {meaning}"))
        for kind in ("skipped", "duplicates"):
            if names := self.notes.get(kind):
                rows.append((f"{kind} ({len(names)})", listing(names, top)))
        kinds = self.notes.values()
        left_out = {k: v for names in kinds for k, v in names.items()}
        if left_out:
            rows.append(("left out", folders.by_reason(left_out)))
        lines = [f"{self.name} ({self.protocol})"]
        lines += [f"{key:>16}  {value}" for key, value in rows]
        return "\n".join(lines)

    def hold_out(self, share, seed=0):
        """Cuts a validation set from the training set.

        Args:
            share: float in [0, 1), of the images of every class or label; with
                several labels an image, images without any stay. 0 for no
                validation set.
            seed: int from 0 to 2**32 - 1.

        Returns:
            A new `Benchmark`; the database keeps all of its images. A
            validation set that was cut before goes back first.

        Raises:
            ValueError: an argument is no such number.
        """
        draws.check_share(share, "share")
        draws.check_seed(seed)
        train = self.parts["train"]
        if len(self.parts["validation"]):
            train = np.sort(np.concatenate([train, self.parts["validation"]]))
        held = draws.draw(self.targets[train], share, seed, some_of_each=False)
        parts = {
            **self.parts,
            "train": np.delete(train, held),
            "validation": train[held],
        }
        return dataclasses.replace(self, parts=parts)


def listing(names, top=10):
    """Names with reasons in one line."""
    named = [f"{name}: {reason}" for name, reason in list(names.items())[:top]]
    rest = len(names) - len(named)
    return "; ".join(named) + (f"; and {rest} more" if rest else "")


def chance(query, database):
    """The probability that a query and an image share a label.

    It is the precision of random results.
    """
    if not len(query) or not len(database):
        return 0.0
    # Equal rows once: there are far fewer of them than images.
    (a, na), (b, nb) = (
        np.unique(side, axis=0, return_counts=True)
        for side in (query, database)
    )
    total = 0
    for low in range(0, len(a), 256):
        rows = a[low : low + 256]
        if a.ndim == 1:
            shared = rows[:, None] == b
        else:
            shared = rows.astype("float32") @ b.T.astype("float32") > 0
        total += int(na[low : low + 256] @ (shared @ nb))
    return total / (len(query) * len(database))

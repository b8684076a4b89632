"""Batches of arrays: in random order, by class, or as lists.

A sampler maps an epoch and a step to the positions of a batch, from a seed: any
order of calls, on any number of workers, gives the same batches.
"""

import keras
import numpy as np

from keras_hash import similarity
from keras_hash.codes import check_int
from keras_hash.data.augment import Augment

# Images of a class, lists, and images of a list, in one batch.
_LARGEST = 1 << 16


class EpochSampler:
    """Every image once an epoch, in random order.

    Args:
        count: int, number of images.
        size: int, images in a batch. What is left of an epoch is dropped.
        seed: int.

    Raises:
        ValueError: `size` is not between 1 and `count`.
    """

    def __init__(self, count, size, seed=0):
        count = check_int(count, "count")
        size = check_int(size, "size", most=count)
        seed = check_int(seed, "seed", 0)
        self.count, self.size, self.seed = count, size, seed

    def __len__(self):
        return self.count // self.size

    def __call__(self, epoch, step):
        """Positions of batch `step` of an epoch, int `[size]`."""
        order = np.random.default_rng([self.seed, epoch])
        first = step * self.size
        return order.permutation(self.count)[first : first + self.size]


class ClassSampler:
    """Batches of `classes` classes with `images` images each.

    Every batch then holds similar and dissimilar pairs, however many classes
    there are. With several labels an image, a class is all images that carry
    its label.

    Args:
        labels: int `[n]` (or `[n, 1]`), or multi-hot `[n, num_classes]`.
        classes: int, classes in a batch.
        images: int, images of each, up to 65,536. A class with fewer repeats
            some.
        seed: int.

    Raises:
        ValueError: there are fewer classes than asked for, `images` is below
            1, or labels that are no numbers or below 0.
    """

    def __init__(self, labels, classes=8, images=16, seed=0):
        labels = similarity.check_labels(labels, soft=True)
        if labels.ndim == 1:
            known = [labels == c for c in np.unique(labels)]
        else:
            known = [column > 0 for column in labels.T]
        self.members = [np.flatnonzero(m) for m in known if m.any()]
        classes = check_int(classes, "classes")
        images = check_int(images, "images", most=_LARGEST)
        seed = check_int(seed, "seed", 0)
        self.classes, self.images, self.seed = classes, images, seed
        self.count = len(labels)
        if not 1 <= classes <= len(self.members):
            raise ValueError(
                f"`classes` should be between 1 and {len(self.members)}, the "
                f"number of classes with images. Received: classes={classes}"
            )

    def __len__(self):
        return max(1, self.count // (self.classes * self.images))

    def __call__(self, epoch, step):
        """Positions of a batch, int `[classes * images]`, class by class."""
        random = np.random.default_rng([self.seed, epoch, step])
        chosen = random.choice(len(self.members), self.classes, replace=False)
        rows = []
        for c in chosen:
            members = self.members[c]
            whole, rest = divmod(self.images, len(members))
            rows += [members] * whole
            rows.append(random.choice(members, rest, replace=False))
        return np.concatenate(rows)


class ListSampler:
    """Queries, each followed by a list of images to be ranked.

    For every query one image is drawn in turn from those that share most
    labels with it, from those that share fewer, and from those that share none;
    groups without images are passed over. `size=3` are the lists of DSRH.

    Args:
        labels: int `[n]` (or `[n, 1]`), or multi-hot `[n, num_classes]`.
        size: int, images in a list, from 2 to 65,536.
        lists: int, lists in a batch, up to 65,536.
        seed: int.

    Raises:
        ValueError: `size` is below 2, `lists` below 1, there are too few
            images, or labels that are no numbers or below 0.

    Reference: Zhao et al., CVPR 2015, and the authors' code.
    """

    def __init__(self, labels, size=3, lists=32, seed=0):
        labels = similarity.check_labels(labels, soft=True)
        size = check_int(size, "size", most=_LARGEST)
        lists = check_int(lists, "lists", most=_LARGEST)
        seed = check_int(seed, "seed", 0)
        if size < 2 or len(labels) < size + 1:
            raise ValueError(
                "`size` should be at least 2 and below the number of images. "
                f"Received: size={size}, {len(labels)} images"
            )
        self.labels = labels.astype("float32") if labels.ndim == 2 else labels
        self.count = len(labels)
        self.size, self.lists, self.seed = size, lists, seed

    def __len__(self):
        return max(1, len(self.labels) // self.lists)

    def __call__(self, epoch, step):
        """Positions, int `[lists * (1 + size)]`: a query, its list, a query."""
        count = len(self.labels)
        order = np.random.default_rng([self.seed, epoch]).permutation(count)
        places = np.arange(step * self.lists, (step + 1) * self.lists)
        random = np.random.default_rng([self.seed, epoch, step])
        rows = [
            [query, *self._list(query, random)]
            for query in order[places % count]
        ]
        return np.concatenate(rows)

    def _list(self, query, random):
        labels = self.labels
        if labels.ndim == 1:
            shared = (labels == labels[query]).astype("float32")
        else:
            shared = labels @ labels[query]
        # The query is not ranked against itself.
        shared[query] = -1
        most = shared.max()
        groups = [
            random.permutation(np.flatnonzero(group))
            for group in (
                (shared == most) & (most > 0),
                (shared > 0) & (shared < most),
                shared == 0,
            )
        ]
        groups = [list(group) for group in groups if len(group)]
        chosen = []
        while len(chosen) < self.size:
            for group in groups:
                if group and len(chosen) < self.size:
                    chosen.append(group.pop())
        return chosen


class SampledBatches(keras.utils.PyDataset):
    """What a sampler draws, ready for `fit` on any backend.

    Args:
        images: array `[n, h, w, 3]` (or features `[n, d]`); or several views
            of each, `[n, k, ...]`, such as `keras_hash.data.feature_views`
            computes them.
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        sampler: an `EpochSampler`, `ClassSampler` or `ListSampler` over the
            same images.
        augment: optional function from a batch of images and two ints, epoch
            and step, to a batch of images: `Augment(...).on_arrays`. Of several
            views it is given a third, the number of the view.
        views: int, how many times each image is augmented. More than one are
            `[n, views, ...]`, and augmented by `Augment.strong()` by default.
            Where `images` has views already, so many of them are drawn, others
            in each epoch, and not augmented further.

    Raises:
        ValueError: more views than `images` has of each image, or views and
            an `augment`; no array of images, not as many as there are labels,
            or fewer than the sampler draws from.

    Example:

    >>> sampler = keras_hash.data.ListSampler(labels, size=3)
    >>> model = keras_hash.models.DSRH(48, 260, list_size=3)
    >>> model.compile("adam")
    >>> model.fit(keras_hash.data.SampledBatches(images, labels, sampler))
    """

    def __init__(
        self, images, labels, sampler, augment=None, views=1, **kwargs
    ):
        super().__init__(**kwargs)
        if keras.ops.is_tensor(images):
            images = keras.ops.convert_to_numpy(images)
        self.images, self.labels = images, np.asarray(labels)
        shape = getattr(images, "shape", None)
        count, drawn = len(self.labels), getattr(sampler, "count", 0)
        if shape is None or shape[0] != count or drawn > count:
            raise ValueError(
                "`images` should be an array, with a label of each, and the "
                "sampler one of no more. Received: "
                + ("a list" if shape is None else f"images.shape={shape}")
                + f", {count} labels, a sampler of {drawn}"
            )
        self.views = check_int(views, "views")
        if self.views > 1 and len(shape) == 2:
            raise ValueError(
                "Features have the views that they are given with, [n, views, "
                "d]; `data.feature_views` makes them. Received: "
                f"images.shape={tuple(shape)}, views={views}"
            )
        # Of images and of features alike: the axis behind that of images.
        several = getattr(images, "ndim", None) in (3, 5)
        self.given = images.shape[1] if several else None
        if self.given is not None:
            views = check_int(views, "views", most=self.given)
            if augment is not None:
                raise ValueError(
                    "Views that are given are not augmented: leave `augment` "
                    f"out. Received: images.shape={np.shape(images)}, an "
                    "`augment`"
                )
        elif views > 1 and augment is None:
            augment = Augment.strong().on_arrays
        self.sampler, self.augment = sampler, augment
        self.epoch = 0

    def __len__(self):
        return len(self.sampler)

    def __getitem__(self, step):
        index = self.sampler(self.epoch, step)
        images = self.images[index]
        if self.given is not None:
            seed = getattr(self.sampler, "seed", 0)
            random = np.random.default_rng([seed, self.epoch, step])
            chosen = random.random(images.shape[:2]).argsort(axis=1)
            images = images[
                np.arange(len(images))[:, None], chosen[:, : self.views]
            ]
            images = images if self.views > 1 else images[:, 0]
        elif self.views > 1:
            images = np.stack(
                [
                    self.augment(images, self.epoch, step, view)
                    for view in range(self.views)
                ],
                axis=1,
            )
        elif self.augment is not None:
            images = self.augment(images, self.epoch, step)
        return images, {"label": self.labels[index], "index": index}

    def on_epoch_end(self):
        self.epoch += 1

"""`tf.data` inputs: batches for training and for encoding."""


def batches(
    dataset,
    size,
    augment=None,
    shuffle=False,
    index=True,
    seed=0,
    drop=False,
    cache=None,
    shard=None,
    buffer=None,
):
    """Batches of a labelled dataset, ready for `fit`.

    Equal seeds give equal batches on every run, in every epoch of it.

    Args:
        dataset: unbatched `tf.data.Dataset` of `(image, label)`.
        size: int, images a batch.
        augment: optional callable from a batch of images and a `[2]` seed to a
            batch of images, such as `Augment(flip=True)`.
        shuffle: bool, whether to draw a new order for every epoch.
        index: bool, whether to yield `{"label", "index"}`, where the index is
            the position in `dataset`, in place of the label alone.
        seed: int, seed of order and augmentation.
        drop: bool, whether to drop a last batch that is not full, as replicas
            and `jit_compile` want it.
        cache: `None`; `True` to keep decoded images in memory; or the path of
            a file to keep them in, which later runs read.
        shard: `None`, or `(worker, workers)`: every so-manieth image, so that
            the shards of all workers are disjoint and complete.
        buffer: int, images that are held in memory to be shuffled; all of them
            by default, which is the only even shuffle.

    Returns:
        A `tf.data.Dataset` of `(images, {"label": ..., "index": ...})`.

    Raises:
        ValueError: the dataset is batched, infinite or not of pairs, or
            `shard` names a worker that there is not.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or spec[0].shape.rank != 3:
        raise ValueError(
            "`dataset` should yield unbatched (image, label) pairs; call "
            f"`dataset.unbatch()` first. Received: element_spec={spec}"
        )
    if index:
        dataset = dataset.enumerate().map(
            lambda i, pair: (pair[0], {"label": pair[1], "index": i})
        )
    if shard is not None:
        worker, workers = shard
        if not 0 <= worker < workers:
            raise ValueError(
                "`shard` should be (worker, workers), counted from 0. "
                f"Received: shard={shard}"
            )
        dataset = dataset.shard(workers, worker)
    count = int(dataset.cardinality())
    if shuffle and count < 0:
        raise ValueError(
            "`dataset` should have a known size to be shuffled; "
            "use `dataset.apply(tf.data.experimental.assert_cardinality(n))`."
            f" Received: cardinality={count}"
        )
    if cache:
        dataset = dataset.cache("" if cache is True else str(cache))
    if shuffle and count:
        dataset = dataset.shuffle(buffer or count, seed=seed)
    dataset = dataset.batch(size, drop_remainder=drop)
    if augment is not None:
        seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        dataset = tf.data.Dataset.zip(dataset, seeds.batch(2)).map(
            lambda pair, s: (augment(pair[0], s), pair[1]),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    return dataset.prefetch(2)


def image_batches(dataset, size, rank=3):
    """Batches of the images alone, whatever the dataset yields.

    Args:
        dataset: `tf.data.Dataset` of images or of tuples that start with the
            image, batched or not.
        size: int, batch size for an unbatched dataset.
        rank: int, rank of one image: 3, or 1 for feature vectors.

    Returns:
        A `tf.data.Dataset` of images `[n, h, w, 3]`.

    Raises:
        ValueError: the first component is no image.
    """
    spec = dataset.element_spec
    if isinstance(spec, tuple):
        dataset = dataset.map(lambda image, *_: image)
        spec = spec[0]
    found = getattr(getattr(spec, "shape", None), "rank", None)
    if found not in (rank, rank + 1):
        raise ValueError(
            "`images` should be a dataset of images [h, w, 3] or of batches "
            f"[n, h, w, 3], alone or first in a tuple. Received: {spec}"
        )
    dataset = dataset.batch(size) if found == rank else dataset
    return dataset.prefetch(2)

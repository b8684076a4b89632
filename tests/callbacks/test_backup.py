"""Trainings that are stopped and go on: they end as those that are not."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import data
from keras_hash import files
from keras_hash.callbacks import Backup
from keras_hash.data import feed

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (64, 4, 4, 3)).astype("uint8")
LABELS = np.arange(64) % 4
SLICES = tf.data.Dataset.from_tensor_slices


def build(method, **settings):
    """A model on the pixels themselves, with little to compile."""
    backbone = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
        ]
    )
    settings = {"backbone": backbone, "input_shape": (4, 4, 3), **settings}
    return getattr(keras_hash.models, method)(16, 4, **settings)


def shuffled():
    return data.batches(SLICES((IMAGES, LABELS)), 10, shuffle=True)


def plain():
    return build("CSQ", hidden=12), shuffled()


def augment():
    change = data.Augment(flip=True, shift=2, colour=0.2)
    batches = data.batches(
        SLICES((IMAGES, LABELS)), 16, augment=change, shuffle=True, seed=3
    )
    return build("CSQ"), batches.map(lambda x, y: (x, y))


def bank():
    return build("DPSH", bank_size=64), shuffled()


def continuation():
    return build("HashNet"), shuffled()


def sampled(workers=1):
    sampler = data.ListSampler(LABELS, lists=4)
    batches = data.SampledBatches(IMAGES, LABELS, sampler, workers=workers)
    return build("DSRH", list_size=3), batches


def sampled_by_workers():
    if keras.backend.backend() == "jax":
        pytest.skip("Keras asks for batches before the epoch is known")
    return sampled(workers=2)


class Stop(keras.callbacks.Callback):
    """Stops like Ctrl-C, in an epoch and at a step, or at an epoch's end."""

    def __init__(self, epoch, step=None):
        super().__init__()
        self.at, self.epoch = (epoch, step), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, step, logs=None):
        if (self.epoch, step) == self.at:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self.at:
            raise KeyboardInterrupt


def train(make, *callbacks, epochs=5):
    """Everything that a training leaves in its model."""
    keras.utils.set_random_seed(1)
    model, batches = make()
    steps = len(batches) if hasattr(batches, "__len__") else 4
    rate = keras.optimizers.schedules.CosineDecay(1e-2, 5 * steps)
    model.compile(keras.optimizers.Adam(rate))
    try:
        model.fit(batches, epochs=epochs, callbacks=[*callbacks], verbose=0)
    except KeyboardInterrupt:
        return None
    kept = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(value) for value in kept]


OTHERS = [augment, continuation, sampled, sampled_by_workers]
KERAS = keras.callbacks.BackupAndRestore
CASES = [(Backup, plain)]
MORE = [(Backup, make) for make in (bank, *OTHERS)]
MORE += [(KERAS, make) for make in (plain, bank, *OTHERS)]


@pytest.mark.parametrize(
    "kind, make",
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
)
def test_a_stopped_training_ends_as_one_that_was_not(tmp_path, kind, make):
    unbroken = train(make)

    def backup():
        return kind(str(tmp_path / "backup"))

    for stop in (Stop(1, 1), Stop(2)):
        # First, so that an epoch's end is stopped before it is written.
        assert train(make, stop, backup()) is None
        # Whatever is drawn in between.
        random.random(), np.random.rand()  # noqa: NPY002
    broken = train(make, backup())
    for ours, theirs in zip(unbroken, broken, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_random_states_go_on(tmp_path):
    class Draw(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            drawn[epoch] = random.random(), np.random.rand()  # noqa: NPY002

    drawn = {}
    train(plain, Draw())
    wanted = dict(drawn)
    path = tmp_path / "a.backup"
    train(plain, Stop(2, 1), Draw(), Backup(path))
    drawn.clear()
    train(plain, Draw(), Backup(path))
    # The third epoch draws what it drew before it was stopped.
    assert drawn[3] == wanted[3] and drawn[4] == wanted[4]


def test_a_backup_is_of_one_training(tmp_path):
    path = tmp_path / "a.backup"
    train(plain, Backup(path, {"rate": 1, "name": "x"}), epochs=1)
    with pytest.raises(ValueError, match="rate was 1, is 2. Repeat it with"):
        train(plain, Backup(path, {"rate": 2, "name": "x"}))
    with pytest.raises(ValueError, match="the backup of another model"):
        train(
            lambda: (build("CSQ", hidden=13), shuffled()),
            Backup(path, {"rate": 1, "name": "x"}),
        )
    # Their variables have the same shapes.
    backup = Backup(path, {"rate": 1, "name": "x"})
    with pytest.raises(ValueError, match="another training, of CSQ by Adam"):
        train(lambda: (build("DPSH", hidden=12), shuffled()), backup)
    model, batches = plain()
    model.compile(keras.optimizers.Adamax(1e-2))
    with pytest.raises(ValueError, match="another training, of CSQ by Adam"):
        model.fit(batches, callbacks=[backup], verbose=0)
    assert backup.epochs() == 1 and Backup(tmp_path / "none").epochs() == 0
    train(plain, backup, epochs=3)
    with pytest.raises(ValueError, match="of 3 epochs.*Received: epochs=2"):
        train(plain, backup, epochs=2)
    np.savez(tmp_path / "other.npz", np.zeros(3))
    with pytest.raises(ValueError, match="is no backup of a training"):
        train(plain, Backup(tmp_path / "other.npz"))
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "bare.npz", state=np.array("{}"))
    for name in ("array.npy", "bare.npz"):
        with pytest.raises(ValueError, match="is no backup of a training"):
            train(plain, Backup(tmp_path / name))
    for about in ([1], {"rate": np.float32(1)}, {"of": {1, 2}}):
        with pytest.raises(ValueError, match="`about` should be a dict"):
            Backup(tmp_path / "none", about)
    with pytest.raises(ValueError, match="name was 'x', is None"):
        train(plain, Backup(path))
    for content in (b"half a file", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no backup of a training"):
            train(plain, Backup(path))


def test_a_training_without_a_backup_begins_at_its_own_epoch(tmp_path):
    backup = Backup(tmp_path / "a.backup")
    train(plain, backup, epochs=2)

    def stop(batch, logs):
        raise KeyboardInterrupt

    model, batches = plain()
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 20))
    )
    stopper = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(batches, epochs=4, callbacks=[backup, stopper], verbose=0)
    assert model.fit(batches, epochs=2, verbose=0).epoch == [0, 1]


def test_a_write_that_is_stopped_leaves_the_older_backup(tmp_path, monkeypatch):
    path = tmp_path / "a.backup"
    train(plain, Backup(path), epochs=2)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", stop)
        assert train(plain, Backup(path)) is None
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with np.load(path) as file:
        assert '"epoch": 2' in str(file["state"])


def orders(batches, epochs):
    return [
        np.concatenate([y["index"] for _, y in batches.as_numpy_iterator()])
        for _ in range(epochs)
    ]


def test_order_and_augmentation_follow_from_seed_and_epoch():
    def make(seed=3, **options):
        change = data.Augment(shift=2)
        return data.batches(
            SLICES((IMAGES, LABELS)), 16, augment=change, shuffle=True,
            seed=seed, **options,
        )  # fmt: skip

    tf.random.set_seed(1)
    batches = make()
    assert int(batches.cardinality()) == 4
    assert int(make(drop=True, shard=(1, 3)).cardinality()) == 1
    first = orders(batches, 3)
    assert all(sorted(order) == list(range(64)) for order in first)
    assert (first[0] != first[1]).any() and (first[1] != first[2]).any()
    # Not from the seed of all of TensorFlow.
    tf.random.set_seed(2)
    again = make()
    np.testing.assert_array_equal(orders(again, 3), first)
    assert (orders(make(seed=4), 1)[0] != first[0]).any()
    derived = again.map(lambda x, y: (x, y)).prefetch(1).take(9)
    (set_epoch,) = feed.epoch_setters(derived)
    set_epoch(1)
    np.testing.assert_array_equal(orders(derived, 2), first[1:])
    # The images too, epoch by epoch.
    pixels = []
    for epoch in (0, 2, 0):
        set_epoch(epoch)
        pixels.append(np.concatenate([x for x, _ in derived]))
    np.testing.assert_array_equal(pixels[0], pixels[2])
    assert (pixels[0] != pixels[1]).any()
    assert feed.epoch_setters(SLICES(IMAGES)) == []

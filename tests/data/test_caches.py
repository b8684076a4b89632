"""Caches in files: of the dataset that is read, or refused."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_hash import data


def images(count=60, start=0, change=None, side=4):
    pixels = np.zeros((count, side, side, 3), "uint8")
    pixels[:, 0, 0, 0] = np.arange(start, start + count)
    labels = np.arange(count) % 3
    if change is not None:
        pixels[change] += 1
    return pixels, labels


def dataset(*args, **kwargs):
    return tf.data.Dataset.from_tensor_slices(images(*args, **kwargs))


def read(dataset, path, **options):
    batches = data.batches(dataset, 8, cache=path, **options)
    return np.concatenate([image for image, _ in batches.as_numpy_iterator()])


def generated(pixels, labels):
    return tf.data.Dataset.from_generator(
        lambda: zip(pixels, labels),
        output_signature=(
            tf.TensorSpec((4, 4, 3), tf.uint8),
            tf.TensorSpec((), tf.int64),
        ),
    )


CHANGES = {
    "other images": (dict(start=1), {}),
    "the last image": (dict(change=-1), {}),
    "one more": (dict(count=61), {}),
    "other sides": (dict(side=5), {}),
    "without indices": ({}, dict(index=False)),
    "a shard": ({}, dict(shard=(0, 2))),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["kept", "a [1]", "b*?\udcff"], ids=ascii)
def test_a_cache_of_another_dataset_is_refused(tmp_path, change, name):
    path = tmp_path / "new" / name
    expected = read(dataset(), path)
    np.testing.assert_array_equal(expected, images()[0])
    np.testing.assert_array_equal(read(dataset(), path), expected)
    arguments, options = CHANGES[change]
    with pytest.raises(ValueError, match="holds another dataset"):
        read(dataset(**arguments), path, **options)
    read(dataset(**arguments), tmp_path / "other", **options)
    np.testing.assert_array_equal(read(dataset(), path), expected)


def test_other_labels_are_another_dataset(tmp_path):
    pixels, labels = images()
    read(dataset(), tmp_path / "kept")
    other = tf.data.Dataset.from_tensor_slices((pixels, labels[::-1].copy()))
    with pytest.raises(ValueError, match="holds another dataset"):
        read(other, tmp_path / "kept")


def test_a_cache_that_nothing_is_known_of_is_refused(tmp_path):
    read(dataset(), tmp_path / "kept")
    (tmp_path / "kept.json").write_text("{")
    with pytest.raises(ValueError, match="holds another dataset"):
        read(dataset(), tmp_path / "kept")


def test_what_cannot_be_read_at_any_place(tmp_path):
    pixels, labels = images()
    read(generated(pixels, labels), tmp_path / "kept")
    read(generated(pixels, labels), tmp_path / "kept")
    with pytest.raises(ValueError, match="holds another dataset"):
        read(generated(pixels + 1, labels), tmp_path / "kept")


def test_an_order_that_changes_is_kept_as_it_was_read_first(tmp_path):
    shuffled = dataset().shuffle(60)
    first = read(shuffled, tmp_path / "kept")
    np.testing.assert_array_equal(
        read(dataset().shuffle(60), tmp_path / "kept"), first
    )
    with pytest.raises(ValueError, match="holds another dataset"):
        read(dataset(count=61).shuffle(60), tmp_path / "kept")


def test_a_cache_that_was_not_finished_is_written_again(tmp_path):
    next(iter(data.batches(dataset(), 8, cache=tmp_path / "kept")))
    np.testing.assert_array_equal(
        read(dataset(), tmp_path / "kept"), images()[0]
    )


def test_a_cache_that_was_begun_is_of_one_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = data.batches(dataset(), 8, cache="kept")
    with pytest.raises(ValueError, match="holds another dataset"):
        data.batches(dataset(start=5), 8, cache="kept")
    with pytest.raises(ValueError, match="holds another dataset"):
        data.batches(dataset(), 8, cache="kept", shard=(0, 2))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = [image for image, _ in first.as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(found), images()[0])
    assert (tmp_path / "kept.index").exists()


# Reads the first images, and waits to be killed.
WRITER = """
import sys
from keras_hash import data
from tests.data.test_caches import dataset
batches = iter(data.batches(dataset(), 8, cache=sys.argv[1]))
next(batches)
print("read", flush=True)
input()
"""


@pytest.mark.slow
def test_one_run_at_a_time_writes_a_cache_and_a_kill_leaves_none(tmp_path):
    path = tmp_path / "kept [1]"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"read\n"
        with pytest.raises(ValueError, match="no other run writes"):
            read(dataset(), path)
        # Where TensorFlow removes the other's lock as it fails.
        assert len(list(tmp_path.glob("*_0.lockfile"))) == 1
        other.kill()
    assert list(tmp_path.glob("*lockfile"))
    np.testing.assert_array_equal(read(dataset(), path), images()[0])
    assert not list(tmp_path.glob("*lockfile")) + list(
        tmp_path.glob("*tempstate*")
    )
    # Written in whole, it is read by any number of runs.
    np.testing.assert_array_equal(read(dataset(), path), images()[0])

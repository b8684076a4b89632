"""`count_table`: the table of counts in graphs of one's own."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_hash
from keras_hash import codes
from keras_hash.evaluation import count_table
from keras_hash.evaluation import graph
from keras_hash.evaluation import kernels


def case(bits, queries, items, classes, seed):
    """Codes that repeat, labels with empty rows among several; the table."""
    random = np.random.RandomState(seed)
    pool = codes.pack(random.randn(4, bits))
    sides, signs = [], []
    for count in (queries, items):
        chosen = random.randint(4, size=count)
        labels = random.randint(-1, 3, size=count)
        if classes:
            labels = random.rand(count, classes) < random.rand(count, 1) - 0.2
        sides += [pool[chosen], labels.astype("int64")]
        signs.append(codes.unpack(pool, bits)[chosen])
    levels = classes + 1 if classes else 2
    tables = {
        name: np.zeros((queries, levels, bits + 1), "int64")
        for name in codes.SIMILARITIES
    }
    for i in range(queries):
        for j in range(items):
            shared = np.sum(sides[1][i] * sides[3][j])
            if not classes:
                shared = int(sides[1][i] == sides[3][j] >= 0)
            a, b = signs[0][i], signs[1][j]
            tables["hamming"][i, shared, np.sum(a != b)] += 1
            tables["and"][i, shared, bits - np.sum((a > 0) & (b > 0))] += 1
    return sides, tables


cases = st.builds(
    case,
    st.integers(1, 140),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([0, 2, 9, 70]),
    st.integers(0, 2**31 - 1),
)


@settings(max_examples=15, deadline=None)
@given(cases, st.sampled_from(codes.SIMILARITIES))
def test_equals_nested_loops_and_every_kernel(made, similarity):
    sides, tables = made
    bits = tables["hamming"].shape[2] - 1
    table = count_table(*sides, bits, similarity).numpy()
    assert table.dtype == np.int64
    np.testing.assert_array_equal(table, tables[similarity])
    assert (table.sum(axis=(1, 2)) == len(sides[2])).all()
    for kernel in kernels.KERNELS:
        evaluator = keras_hash.HammingEvaluator(
            *sides[:2], bits, similarity, kernel=kernel
        )
        found = np.zeros_like(table)
        evaluator.update(*sides[2:])
        for (shared, _), plane in evaluator.counts.planes.items():
            found[:, shared] += plane[evaluator.inverse]
        np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("chunk", [50, 1 << 22])
def test_batches_of_any_size_in_a_graph_of_ones_own(classes, chunk):
    rank = [None, classes] if classes else [None]
    side = tf.TensorSpec([None, 3], tf.uint8), tf.TensorSpec(rank, tf.int64)

    @tf.function(input_signature=2 * side)
    def same_within_two(query_codes, query_labels, packed, labels):
        sides = query_codes, query_labels, packed, labels
        table = count_table(*sides, 21)
        in_parts = graph._table(*sides, 21, "hamming", chunk)
        tf.debugging.assert_equal(table, in_parts)
        return tf.reduce_sum(table[:, 1:, :3], axis=[1, 2])

    for queries, items in ((7, 40), (3, 1), (60, 9)):
        sides, tables = case(21, queries, items, classes, queries)
        np.testing.assert_array_equal(
            same_within_two(*sides),
            tables["hamming"][:, 1:, :3].sum(axis=(1, 2)),
        )
    assert same_within_two.experimental_get_tracing_count() == 1
    packed, labels = sides[:2]
    none = packed[:0], labels[:0]
    assert not same_within_two(packed, labels, *none).numpy().any()
    assert same_within_two(*none, packed, labels).shape == (0,)


def test_other_types_of_labels():
    sides, tables = case(9, 4, 8, 0, 1)
    columns = [sides[0], sides[1][:, None], sides[2], sides[3].astype("int32")]
    table = count_table(*columns, 9)
    np.testing.assert_array_equal(table, tables["hamming"])
    sides, tables = case(9, 4, 8, 5, 1)
    sides[1], sides[3] = sides[1].astype("float32"), sides[3].astype("bool")
    np.testing.assert_array_equal(count_table(*sides, 9), tables["hamming"])


@pytest.mark.parametrize(
    "place, value, message",
    [
        (0, np.full((4, 2), 3, "uint8"), "`query_codes` should have no bits"),
        (2, np.full((8, 2), 3, "uint8"), "`codes` should have no bits set"),
        (1, np.full((4, 5), 0.5), "`query_labels` of rank 2 should be multi"),
        (3, np.full((8, 5), -1), "`labels` of rank 2 should be multi-hot"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_runs(place, value, message):
    arguments = [*case(9, 4, 8, 5, 1)[0], 9]
    arguments[place] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        count_table(*arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        ({0: np.zeros((4, 3), "uint8")}, r"`query_codes` should be packed"),
        ({2: np.zeros((8, 2), "int32")}, "`codes` should be packed.*int32"),
        ({1: np.zeros((4, 5, 2))}, "`query_labels` should be int"),
        ({1: np.zeros((4, 3))}, "should both be class numbers"),
        ({1: np.full(4, 0.5)}, "`query_labels` should be int.*float64"),
        ({3: np.full(8, "a")}, "`labels` should be int.*string"),
        ({4: 0}, "`bits` should be an int of at least 1"),
        ({5: "cosine"}, "`similarity` should be one of"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_graph_is_built(change, message):
    arguments = [*case(9, 4, 8, 0, 1)[0], 9, "hamming"]
    for place, value in change.items():
        arguments[place] = value
    with pytest.raises(ValueError, match=message):
        count_table(*arguments)


PROGRAM = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, 2 * [tf.config.LogicalDeviceConfiguration()]
)
from keras_hash import codes
from keras_hash.evaluation import count_table

random = np.random.RandomState(0)
packed, labels = codes.pack(random.randn(64, 20)), random.randint(3, size=64)
query = tf.constant(packed[:5]), tf.constant(labels[:5])
strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
shards = tf.data.Dataset.from_tensor_slices((packed, labels)).batch(16)

@tf.function
def counted(shard):
    tables = strategy.run(lambda c, l: count_table(*query, c, l, 20), shard)
    return strategy.reduce("SUM", tables, axis=None)

parts = [counted(s) for s in strategy.experimental_distribute_dataset(shards)]
whole = count_table(*query, packed, labels, 20)
assert strategy.num_replicas_in_sync == 2 and len(parts) == 4
assert (sum(parts) == whole).numpy().all()
print("the same")
"""


def test_tables_of_replicas_add_up():
    """In a process of its own, as devices are set before any is used."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("the same\n"), done.stderr[-3000:]


def test_tensorflow_comes_with_the_first_use_alone():
    program = """
import sys
sys.modules["tensorflow"] = None
import keras_hash.evaluation as evaluation
assert "count_table" in evaluation.__all__
evaluation.HammingEvaluator
try:
    evaluation.count_table
except ImportError:
    print("asked for")
try:
    evaluation.count_tables
except AttributeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "asked for",
        "module 'keras_hash.evaluation' has no attribute 'count_tables'",
    ]

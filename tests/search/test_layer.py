"""The in-graph search, and the retrieval system as one SavedModel."""

import os

import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import export
from keras_hash.search import HammingSearch


def by_loops(codes, queries, bits, ids, k, similarity):
    """Ids and distances in order of (distance, id), one pair at a time."""
    a, b = (keras_hash.codes.unpack(x, bits) > 0 for x in (codes, queries))
    distances, found = [], []
    for query in b:
        rows = []
        for code, name in zip(a, ids):
            if similarity == "hamming":
                level = int((code != query).sum())
            else:
                level = bits - int((code & query).sum())
            rows.append((level, name))
        rows = sorted(rows)[:k]
        distances.append([level for level, _ in rows])
        found.append([name for _, name in rows])
    return np.array(distances), np.array(found)


@pytest.mark.parametrize("similarity", ["hamming", "and"])
@pytest.mark.parametrize("bits", [1, 7, 30, 64, 65, 130])
def test_against_loops(bits, similarity, rng):
    # Few different codes: ties.
    pool = keras_hash.codes.pack(rng.randn(9, bits))
    codes, queries = pool[rng.randint(9, size=40)], pool[:5]
    ids = rng.permutation(1000)[:40]
    for k in (1, 7, 99):
        layer = HammingSearch(codes, bits, ids, k, similarity)
        distances, found = layer(queries)
        expected = by_loops(codes, queries, bits, ids, k, similarity)
        np.testing.assert_array_equal(distances, expected[0])
        np.testing.assert_array_equal(found, expected[1])


def test_same_as_the_index(rng):
    codes = keras_hash.codes.pack(rng.randn(3000, 48))
    queries = keras_hash.codes.pack(rng.randn(20, 48))
    expected = keras_hash.Index(48, codes).search(queries, k=11)
    found = HammingSearch(codes, 48, k=11)(queries)
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bits", [7, 64, 70])
def test_real_codes_order_as_in_the_index(bits, rng):
    # Steps of an eighth: sums are exact, and ties are ties.
    real = rng.randint(-16, 17, (9, bits)).astype("float32") / 8
    codes = keras_hash.codes.pack(rng.randn(1500, bits))
    codes[700:] = codes[:800]
    expected = keras_hash.Index(bits, codes).search(real_codes=real, k=30)[1]
    queries = keras_hash.codes.pack(real)
    layer = HammingSearch(codes, bits, k=30)
    far, found = layer(queries, real)
    np.testing.assert_array_equal(found, expected)
    levels = np.bitwise_count(codes[found.numpy()] ^ queries[:, None])
    np.testing.assert_array_equal(far, levels.sum(axis=-1))
    assert (layer(queries)[1].numpy() != expected).any()


def test_ids_that_are_not_utf_8(rng):
    codes = keras_hash.codes.pack(rng.randn(3, 20))
    names = [os.fsdecode(b"\xff.png"), "b.png", "ü.png"]
    found = HammingSearch(codes, 20, names, k=1)(codes)[1].numpy()
    assert [os.fsdecode(name) for name in found[:, 0]] == names


@pytest.mark.parametrize("graph", [False, True])
def test_real_codes_that_do_not_fit(graph, rng):
    real = rng.randn(4, 20).astype("float32")
    codes = keras_hash.codes.pack(real)
    layer = HammingSearch(codes, 20, k=2)
    both = HammingSearch(codes, 20, k=2, similarity="and")
    for search, wrong, says in (
        (layer, real[:, :9], r"floats \[q, 20\]"),
        (layer, real[0], r"floats \[q, 20\]"),
        (layer, real > 0, r"floats \[q, 20\]"),
        (layer, np.sign(real).astype(int), r"floats \[q, 20\]"),
        (layer, real[:3], "3 real codes, 4 codes|packed from `real_codes`"),
        *([] if graph else [(layer, -real, "packed from `real_codes`")]),
        (layer, real * np.nan, "`real_codes` should be finite"),
        (both, real, "order items by Hamming distance"),
    ):
        call = tf.function(search) if graph else search
        with pytest.raises((ValueError, tf.errors.OpError), match=says):
            call(tf.constant(codes), tf.constant(wrong))


def test_a_served_system_that_orders_by_real_codes(rng):
    model = keras_hash.models.HashNet(16, 3)
    images = rng.randint(0, 256, (300, 32, 32, 3)).astype("float32")
    real = model.real_codes(images)
    codes = keras_hash.codes.pack(real)
    index = keras_hash.Index(16, codes)
    for by_real in (False, True):
        _, signatures = export.retrieval_model(
            model, codes, k=9, real_codes=by_real
        )
        found = signatures["search_arrays"](image=images[:20])["ids"]
        query = {"real_codes": real[:20]} if by_real else {"codes": codes[:20]}
        far, expected = index.search(k=9, **query)
        same = found.numpy() == expected
        # The graph rounds float16 weights: near-ties may change places.
        assert same.mean() > 0.9
    one_label = keras_hash.models.DSHC(12, 3)
    with pytest.raises(ValueError, match="DSHC.* leave `real_codes` out"):
        export.retrieval_model(one_label, codes, real_codes=True)


def test_names_as_ids(rng):
    codes = keras_hash.codes.pack(rng.randn(6, 9))
    names = np.array(["f", "b", "ä", "c", "a", "e"])
    distances, found = HammingSearch(codes, 9, names, k=2)(codes)
    assert [name.decode() for name in found.numpy()[:, 0]] == names.tolist()
    assert not distances.numpy()[:, 0].any()


def test_ids_of_every_kind_that_an_index_takes(rng):
    codes = keras_hash.codes.pack(rng.randn(3, 9))
    for ids in (
        range(3, 6),
        (7, -1, 4),
        np.array([1, 2**63 - 1, 0], "uint64"),
        np.array(["b", "c", "a"], object),
    ):
        _, expected = keras_hash.Index(9, codes, ids).search(codes, k=1)
        _, found = HammingSearch(codes, 9, ids, k=np.uint8(1))(codes)
        found = np.array(found).astype(expected.dtype)
        if found.dtype == object:
            found = np.vectorize(bytes.decode, "O")(found)
        np.testing.assert_array_equal(found, expected)


def test_bad_input(rng):
    codes = keras_hash.codes.pack(rng.randn(6, 9))
    for settings, message in [
        ({"ids": np.arange(5)}, r"shape \[6\]"),
        ({"ids": np.ones(6)}, "float64"),
        ({"ids": [1, 2, 3, 2, 4, 5]}, "Received: 2 twice"),
        ({"k": 0}, "k=0"),
        ({"similarity": "cosine"}, "'cosine'"),
    ]:
        with pytest.raises(ValueError, match=message):
            HammingSearch(codes, 9, **settings)
    with pytest.raises(ValueError, match="0 codes"):
        HammingSearch(codes[:0], 9)
    with pytest.raises(ValueError, match="bits"):
        HammingSearch(codes, 40)
    with pytest.raises(ValueError, match=r"uint8 \[q, 2\]"):
        HammingSearch(codes, 9)(np.zeros((1, 3), "uint8"))


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Digits as one SavedModel, its codes, and what it should find."""
    model = keras_hash.load("dshc_digits_30")
    digits = keras_hash.data.load("digits")
    images, _ = digits.arrays("database")
    codes = model.encode(images)
    ids = digits.ids[digits.parts["database"]]
    folder = tmp_path_factory.mktemp("system") / "1"
    export.save(*export.retrieval_model(model, codes, ids, k=5), folder)
    queries = digits.arrays("query")[0][:12]
    distances, places = keras_hash.Index(30, codes).search(
        model.encode(queries), k=5
    )
    # The names of digits are in their order, so ties agree.
    return folder, queries, distances, ids[places]


def test_images_in_ids_out(system):
    folder, queries, distances, ids = system
    loaded = tf.saved_model.load(str(folder))
    arrays = loaded.signatures["search_arrays"](
        image=tf.constant(queries, "float32")
    )
    contents = tf.constant([tf.io.encode_png(q).numpy() for q in queries])
    served = loaded.signatures["serving_default"](image_bytes=contents)
    codes = loaded.signatures["encode_bytes"](image_bytes=contents)["code"]
    by_code = loaded.signatures["search_codes"](code=codes)
    for found in (arrays, served, by_code):
        np.testing.assert_array_equal(found["distances"], distances)
        names = np.char.decode(found["ids"].numpy().astype("S"))
        np.testing.assert_array_equal(names, ids)
    assert set(loaded.signatures) >= {"encode", "search", "search_arrays"}


def test_codes_in_a_request_are_checked(system):
    loaded = tf.saved_model.load(str(system[0]))
    search = loaded.signatures["search_codes"]
    codes = np.zeros((1024, 4), "uint8")
    assert len(search(code=codes)["ids"]) == 1024
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 1024"):
        search(code=np.zeros((1025, 4), "uint8"))
    # What was loaded takes other shapes than it declares.
    for shape in ((2, 2), (1, 8), (1, 12), (4,)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[n, 4\]"):
            search(code=tf.zeros(shape, tf.uint8))
    codes[[3, 7], -1] = 4, 1
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"0 behind 30 bits; rows:\W+7"
    ):
        search(code=codes)


def test_the_way_the_server_loads_it(system):
    """The C++ loader, through a session, on the signature's tensors."""
    folder, queries, distances, ids = system
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        meta = v1.saved_model.load(session, ["serve"], str(folder))
        signature = meta.signature_def["serving_default"]
        image = signature.inputs["image_bytes"].name
        contents = [tf.io.encode_png(q) for q in queries[:3]]
        contents = session.run(contents)
        found = session.run(
            {key: info.name for key, info in signature.outputs.items()},
            {image: contents},
        )
    np.testing.assert_array_equal(found["distances"], distances[:3])
    assert found["ids"][0][0].decode() == ids[0][0]
    text = signature.inputs["image_bytes"]
    assert text.dtype == tf.string.as_datatype_enum


def test_a_loaded_entry_is_exported_as_it_was_stored():
    model = keras_hash.load("dshc_cifar10_30")
    assert model.stored_as == "int8"
    module, _ = export.encoder_module(model)
    images = np.random.RandomState(0).randint(0, 256, (9, 32, 32, 3), "uint8")
    served = module.encode(tf.constant(images, "float32"))["code"]
    np.testing.assert_array_equal(served, model.encode(images))

"""Nested codes: losses at every length, prefixes, and shorter models."""

import keras
import numpy as np
import pytest

import keras_hash
from keras_hash import codes
from keras_hash.methods import _nested
from keras_hash.methods import registry
from tests.entry import publish
from tests.methods import cases

CLASSES = cases.CLASSES
# One of each kind of head at once, the others in the slow tier.
FEW = ("csq", "dpsh", "greedyhash", "hyp2", "itq", "ninh", "mutualhash")
NESTING = sorted(n for n, (model, _) in registry().items() if model.nests)
TRAINED = [n for n in NESTING if n in cases.TRAINED]


def some_slow(names):
    """Parameters of which all but a few are slow tests."""
    slow = pytest.mark.slow
    return [n if n in FEW else pytest.param(n, marks=slow) for n in names]


def make(name, bits=24, nested=(8, 16), **given):
    return cases.make(name, bits=bits, nested=nested, **given)


@pytest.mark.parametrize("name", some_slow(TRAINED))
def test_the_loss_is_the_mean_over_all_lengths(name):
    features, labels = cases.labelled("multi")
    model = make(name, nested_weights=(1, 2, 5))
    model.compile("sgd")
    outputs = model(features, training=False)
    total = 0
    for bits, share in zip((8, 16, 24), (0.125, 0.25, 0.625)):
        short = model if bits == 24 else model.shorten(bits)
        loss = short.default_loss()
        if isinstance(loss, _nested.NestedLoss):
            loss = loss.losses[-1]
        # The shorter model alone, whose codes are the first bits.
        alone = short(features, training=False)
        alone = _nested.first_bits(alone, bits)
        total += share * float(loss(labels, alone))
    alone = model.bank is None
    found = model.compute_loss(features, labels, outputs, training=alone)
    found = float(found) - float(sum(model.losses))
    assert found == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("dpsh", marks=pytest.mark.slow),
        pytest.param("csq", marks=pytest.mark.slow),
        "greedyhash",
    ],
)
def test_nested_models_train_save_and_load(name, tmp_path):
    features, labels = cases.labelled("multi", 60)
    model = make(name)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(features, labels, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    found = model.encode(features, verbose=False)
    np.testing.assert_array_equal(again.encode(features, verbose=False), found)
    again.fit(features, labels, verbose=0)


@pytest.mark.parametrize("name", some_slow(NESTING))
def test_a_shorter_model_makes_the_chosen_bits(name):
    features, labels = cases.labelled("multi", 60)
    given = {"bits": 24} if registry()[name][0].trained else {"bits": 8}
    model = cases.make(name, **given)
    if not model.trained:
        model.adapt(features, labels, verbose=False)
    real = model.real_codes(features, verbose=False)
    chosen = [5, 0, 7]
    short = model.shorten(indices=chosen)
    assert type(short) is type(model) and short.bits == 3
    np.testing.assert_allclose(
        short.real_codes(features, verbose=False), real[:, chosen], atol=1e-5
    )
    np.testing.assert_allclose(
        model.shorten(8).real_codes(features, verbose=False),
        real[:, :8],
        atol=1e-5,
    )
    turned = np.arange(model.bits)[::-1]
    np.testing.assert_allclose(
        model.shorten(indices=turned).real_codes(features, verbose=False),
        real[:, turned],
        atol=1e-5,
    )
    for bad in ({}, {"bits": 3, "indices": [1]}, {"bits": 0}, {"bits": 99}):
        with pytest.raises(ValueError, match="Received"):
            model.shorten(**bad)
    for bad in ([], [0, 0], [-1], [99], [[0]], [0.5], "x"):
        with pytest.raises(ValueError, match="different ints"):
            model.shorten(indices=bad)


def test_what_has_no_bits_of_its_own_is_refused():
    for name in ("dshc", "dshcmultilabel"):
        bits = {"dshc": 40, "dshcmultilabel": None}[name]
        with pytest.raises(ValueError, match="leave `nested` out"):
            cases.make(name, bits=bits, nested=(8,))
        with pytest.raises(ValueError, match="no code of its own"):
            cases.make(name, bits=bits).shorten(8)


@pytest.mark.parametrize(
    "bad", [(12,), (16, 8), (24,), (32,), (0,), (8.0,), (8, 8), ("8",), 8, "8"]
)
def test_lengths_are_checked(bad):
    with pytest.raises(ValueError, match="nested|Received"):
        make("dpsh", nested=bad)


@pytest.mark.parametrize("bad", [(1, 1), (1, -1, 1), (0, 0, 0)])
def test_weights_are_checked(bad):
    with pytest.raises(ValueError, match="nested_weights"):
        make("dpsh", nested_weights=bad)


@pytest.mark.parametrize("name", ["csq", "dpn", "orthohash"])
def test_the_first_bits_of_a_book_are_a_book(name):
    book = np.array(make(name, nested=(8, 16)).codebook.codes)
    for bits in (8, 16, 24):
        part = book[:, :bits]
        apart = (part[:, None] != part).sum(axis=-1)
        assert apart[~np.eye(CLASSES, dtype=bool)].min() >= 1
        assert set(np.unique(part)) == {-1, 1}


@pytest.mark.parametrize("name", ["itq", "ccaitq"])
def test_itq_adds_the_last_bits_of_each_length(name):
    random = np.random.RandomState(0)
    features = random.randn(200, 40).astype("float32") * np.linspace(3, 1, 40)
    features = features.astype("float32")
    # Fewer labels than bits: the directions end before the lengths do.
    labels = random.randint(4, size=200)

    def solved(bits, **more):
        model = cases.make(name, bits=bits, input_shape=(40,), **more)
        model.adapt(features, labels, verbose=False)
        return model.encode(features, verbose=False)

    nested = solved(24, nested=(8, 16))
    for place, bits in enumerate((8, 16, 24)):
        np.testing.assert_array_equal(nested[:, place], solved(bits)[:, place])


def test_shortened_codes():
    random = np.random.RandomState(0)
    signs = random.choice([-1, 1], (20, 37))
    packed = codes.pack(signs)
    for bits in range(1, 38):
        np.testing.assert_array_equal(
            codes.shorten(packed, bits), codes.pack(signs[:, :bits])
        )
    for bad in (packed.astype(int), packed[0], [[1.5]]):
        with pytest.raises(ValueError, match="packed codes"):
            codes.shorten(bad, 8)
    with pytest.raises(ValueError, match="or wider for 41 bits"):
        codes.shorten(packed, 41)


def test_an_entry_of_nested_codes_has_every_length(tmp_path):
    digits = keras_hash.data.load("digits")
    model = keras_hash.models.DPSH(24, 10, nested=(8, 16))
    model.compile("adam")
    images, labels = digits.arrays("train")
    model.fit(images[:256], labels[:256], verbose=0)
    card = publish(model, tmp_path / "nested")
    assert set(card.lengths) == {"8", "16"}
    images = images[:50]
    whole = keras_hash.load(tmp_path / "nested").encode(images, verbose=False)
    for bits in (8, 16, 24):
        short = keras_hash.load(tmp_path / "nested", bits=bits)
        assert short.bits == bits
        np.testing.assert_array_equal(
            short.encode(images, verbose=False), codes.shorten(whole, bits)
        )
    assert keras_hash.load(tmp_path / "nested", bits=16).nested == (8,)
    with pytest.raises(ValueError, match="8 or 16 or 24 bits"):
        keras_hash.load(tmp_path / "nested", bits=12)

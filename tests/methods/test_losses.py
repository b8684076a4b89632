"""Every loss against nested loops: values, gradients, stability, XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import codebooks
from keras_hash import losses
from keras_hash import similarity
from keras_hash.methods import registry
from keras_hash.methods.dsdh import dcc
from keras_hash.methods.hyp2 import code_distance
from tests.methods import loops

CLASSES = 4
CASES = 20
# Loss, and loops on the same inputs. Weights are larger than the papers', so
# that every term matters at this size.
PAIRS = {
    "dpsh": {"quantization": 0.3},
    "dhn": {"quantization": 0.7},
    "isdh": {"gamma": 3.0, "quantization": 0.7},
    "idhn": {"gamma": 0.4, "quantization": 0.7},
    "hashnet": {"weights": "jaccard"},
    "hashnet ": {"weights": "cosine", "scale": 0.7},
    "hashnet  ": {"weights": None},
    "dsh": {"quantization": 0.2},
    "dsh ": {"margin": 3.0},
    "dmssph": {"level": "jaccard", "quantization": 0.7, "emphasis": 2.0},
    "dmssph ": {"level": "shared", "kappa": 0.6},
    "dmssph  ": {
        "quantization": 0.01,
        "bounded": False,
        "power": 1,
        "emphasis": 0.0,
    },
    "dtsh": {"quantization": 0.2},
    "dtsh ": {"margin": 0.5},
    "dslh": {"num_classes": CLASSES, "quantization": 0.9, "evenness": 0.7},
    "dslh ": {"num_classes": CLASSES, "balance": "linear"},
    "ninh": {"margin": 1.0},
    "dch": {"gamma": 3.0, "quantization": 0.7},
    "dsdh": {
        "num_classes": CLASSES,
        "quantization": 0.3,
        "eta": 0.5,
        "sweeps": 2,
    },
}
ALONE = {
    "dsrh": {"margin": 2.0, "balance": 0.8},
    "dsrh ": {},
    "talr": {"objective": "ap"},
    "talr ": {"objective": "ndcg", "bins": 3},
}
BOOKS = {
    "csq": {"quantization": 0.7},
    "dpn": {"margin": 0.8},
    "orthohash": {"margin": 0.2},
    "orthohash ": {"margin": 0.1, "scale": 5.0},
    "mdshc": {"pairs": 0.6, "quantization": 0.7},
}
CLASSIFIED = {
    "greedyhash": {"quantization": 0.7},
    "dlbhc": {},
    "ssdh": {},
    "hyp2": {"beta": 0.9},
    "vdsh": {},
}
EVERY = {**PAIRS, **ALONE, **BOOKS, **CLASSIFIED}
# Every loss; with other settings than its first in the slow tier.
ONE_EACH = [
    pytest.param(name, marks=pytest.mark.slow if name[-1] == " " else ())
    for name in EVERY
]
KINDS = ("single", "multi")


def loss_class(name):
    return registry()[name.strip()][1]


def sample(name, kind, seed):
    """Labels, codes and logits of a small batch."""
    random = np.random.RandomState(seed)
    bits, count = random.randint(1, 10), random.randint(2, 9)
    codes = random.uniform(-0.95, 0.95, (count, bits))
    logits = random.randn(count, CLASSES)
    if name == "hyp2":
        logits = np.tanh(logits)
    if kind == "single":
        return bits, random.randint(0, CLASSES, count), codes, logits
    # Some rows have no label, some all.
    labels = (random.rand(count, CLASSES) < random.rand(count, 1)) * 1
    return bits, labels, codes, logits


def build(name, bits):
    """The loss, and its outputs and loops as functions of codes and logits."""
    settings = EVERY[name]
    cls, loop = loss_class(name), getattr(loops, name.strip())
    if name in BOOKS or name == "hyp2":
        if name in BOOKS:
            book = np.sign(np.random.RandomState(bits).randn(CLASSES, bits))
            settings = {**settings, "codebook": book}
        loss = cls(bits=bits, num_classes=CLASSES, **settings)
    else:
        loss = cls(bits=bits, **settings)

    def value(labels, codes, logits):
        kept = {k: v for k, v in settings.items() if k != "codebook"}
        if name in CLASSIFIED:
            if name == "hyp2":
                kept["zeta"] = 1 - 2 * code_distance(bits, CLASSES) / bits
            return loop(labels, codes, logits, **kept)
        if name in BOOKS:
            extra = {"tie": loss.prepared["tie"]} if name == "csq" else {}
            return loop(labels, codes, book, **extra, **kept)
        return loop(labels, codes, **kept)

    def outputs(codes, logits):
        if name in CLASSIFIED:
            return {"code": codes, "logits": logits}
        return codes

    return loss, outputs, value


def test_every_loss_is_compared_with_loops():
    compared = {name.strip() for name in EVERY} | {"dshc", "dshcmultilabel"}
    # Those without labels have loops in test_unlabelled.py.
    compared |= {"dhd", "mutualhash"}  # test_peers.py
    assert compared == {
        name
        for name, (model, loss) in registry().items()
        if loss and model.supervised
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_value(name, kind):
    for seed in range(CASES):
        bits, labels, codes, logits = sample(name.strip(), kind, seed)
        loss, outputs, value = build(name, bits)
        found = loss(labels, outputs(codes, logits))
        expected = value(labels, codes, logits)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def slopes(function, array):
    """Differences of a function of one array, element by element."""
    found = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        ends = []
        for step in (-1e-5, 1e-5):
            moved = array.copy()
            moved[at] += step
            ends.append(function(moved))
        found[at] = (ends[1] - ends[0]) / 2e-5
    return found


@pytest.mark.filterwarnings("ignore:CPBC with")
def test_dshc_value_and_gradient():
    for seed in range(CASES):
        random = np.random.RandomState(seed)
        classes, per_class = random.randint(2, 5), random.randint(1, 4)
        bits, count = classes * per_class, random.randint(1, 6)
        labels = random.randint(0, classes, count)
        logits = 3 * random.randn(count, classes * (bits + 1))
        owners = np.repeat(np.arange(classes), bits + 1)
        weights = [1 / per_class] * classes
        loss = losses.DSHC(bits, classes)

        def value(x, labels=labels, owners=owners, weights=weights):
            return loops.dshc(labels, x, owners, weights)

        inputs = tf.constant(logits, "float32")
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            found = loss(labels, inputs)
        assert float(found) == pytest.approx(value(logits), rel=1e-4)
        gradient = tape.gradient(found, inputs)
        np.testing.assert_allclose(gradient, slopes(value, logits), atol=2e-3)


def test_dshc_kbc_value():
    codes, owners = codebooks.dshc_table(10, 10, "kbc", 0)
    sizes = np.bincount(owners)
    for seed in range(CASES):
        random = np.random.RandomState(seed)
        labels = random.randint(0, 10, 4)
        logits = 3 * random.randn(4, len(codes))
        found = losses.DSHC(10, 10, codebook="kbc")(labels, logits)
        expected = loops.dshc(labels, logits, owners, 1 / sizes)
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_dshc_multi_label_value_and_gradient():
    for seed in range(CASES):
        bits, labels, _, logits = sample("dshcmultilabel", "multi", seed)
        inputs = tf.constant(logits, "float32")
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            found = losses.DSHCMultiLabel()(labels, inputs)

        def value(x, labels=labels):
            return loops.dshcmultilabel(labels, x)

        assert float(found) == pytest.approx(value(logits), rel=1e-4)
        gradient = tape.gradient(found, inputs)
        np.testing.assert_allclose(gradient, slopes(value, logits), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_gradient(name, kind):
    """Automatic gradients against differences of the loops."""
    checked = 0
    for seed in range(4):
        bits, labels, codes, logits = sample(name.strip(), kind, 100 + seed)
        loss, outputs, value = build(name, bits)
        inputs = [codes, logits] if name in CLASSIFIED else [codes]
        tensors = [tf.constant(x, "float32") for x in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = loss(labels, outputs(*(tensors + [None])[:2]))
        gradients = tape.gradient(result, tensors)
        for place, (array, gradient) in enumerate(zip(inputs, gradients)):
            if gradient is None:  # These see the logits alone.
                assert name in ("dlbhc", "vdsh") and place == 0
                continue
            for at in np.ndindex(array.shape):
                ends = []
                for step in (-1e-5, 1e-5):
                    moved = [x.copy() for x in (codes, logits)]
                    moved[place][at] += step
                    ends.append(value(labels, *moved))
                slope = (ends[1] - ends[0]) / 2e-5
                assert abs(gradient.numpy()[at] - slope) < 2e-3 * (
                    1 + abs(slope)
                ), (name, seed, place, at)
                checked += abs(slope) > 1e-6
    assert checked > 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PAIRS)
def test_references(name, kind):
    """The other side of the pairs may be other images."""
    for seed in range(CASES):
        bits, labels, codes, _ = sample(name, kind, seed)
        random = np.random.RandomState(seed + 500)
        ref_codes = random.uniform(-0.95, 0.95, (7, bits))
        ref_labels = random.randint(0, CLASSES, 7)
        if kind == "multi":
            ref_labels = (random.rand(7, CLASSES) < 0.4) * 1
        loss, _, _ = build(name, bits)
        refs = {"ref_labels": ref_labels, "ref_codes": ref_codes}
        found = loss(labels, codes, **refs)
        expected = getattr(loops, name.strip())(
            labels, codes, **refs, **PAIRS[name]
        )
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_half_a_reference_is_refused():
    with pytest.raises(ValueError, match="only ref_codes"):
        losses.DPSH(4)([0, 1], np.ones((2, 4)), ref_codes=np.ones((3, 4)))


@pytest.mark.parametrize("name", ONE_EACH)
def test_extreme_inputs_stay_finite(name):
    bits, count = 8, 6
    loss, outputs, _ = build(name, bits)
    random = np.random.RandomState(0)
    bounded = name.strip() in ("csq", "talr", "dsrh", "ninh", "hyp2")
    large = 1.0 if bounded else 1e3
    signs = np.sign(random.randn(count, bits))
    inputs = {
        "large": (random.randint(0, CLASSES, count), large * signs),
        "equal": (random.randint(0, CLASSES, count), np.ones((count, bits))),
        "zero": (random.randint(0, CLASSES, count), np.zeros((count, bits))),
        "one class": (np.zeros(count, int), signs),
        "all differ": (np.arange(count) % CLASSES, signs),
        "no labels": (np.zeros((count, CLASSES), int), signs),
        "all labels": (np.ones((count, CLASSES), int), signs),
        "one image": (np.array([1]), signs[:1]),
    }
    for case, (labels, codes) in inputs.items():
        logits = np.resize(codes[:, :CLASSES], (len(codes), CLASSES))
        for dtype in ("float32", "bfloat16", "float16"):
            tensors = [tf.cast(x, dtype) for x in (codes, logits)]
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                result = loss(labels, outputs(*tensors))
            gradients = tape.gradient(result, tensors)
            assert result.dtype == "float32", case
            for value in [result, *gradients]:
                if value is not None:
                    value = tf.cast(value, "float32").numpy()
                    assert np.isfinite(value).all(), (case, dtype)


@pytest.mark.parametrize("name", ONE_EACH)
def test_compiled_by_xla(name):
    bits, labels, codes, logits = sample(name.strip(), "multi", 3)
    loss, outputs, _ = build(name, bits)

    def run(codes, logits):
        with tf.GradientTape() as tape:
            tape.watch(codes)
            value = loss(labels, outputs(codes, logits))
        return value, tape.gradient(value, codes)

    inputs = [tf.constant(x, "float32") for x in (codes, logits)]
    expected = run(*inputs)
    found = tf.function(run, jit_compile=True)(*inputs)
    for a, b in zip(found, expected):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_config_and_sample_weight(name):
    bits, labels, codes, logits = sample(name.strip(), "multi", 7)
    loss, outputs, _ = build(name, bits)
    again = type(loss).from_config(loss.get_config())
    made = outputs(codes, logits)
    expected = float(loss(labels, made))
    assert float(again(labels, made)) == expected
    weights = np.full(len(codes), 2.0)
    twice = float(loss(labels, made, sample_weight=weights))
    assert twice == pytest.approx(2 * expected, rel=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_wrong_codes_are_refused(name):
    loss, outputs, _ = build(name, 6)
    wrong = outputs(np.zeros((3, 5)), np.zeros((3, CLASSES)))
    with pytest.raises(ValueError, match=r"real codes \[n, 6\]"):
        loss(np.zeros(3, int), wrong)


def test_columns_of_ints_are_labels():
    codes = np.random.RandomState(0).uniform(-1, 1, (5, 6))
    labels = np.array([0, 1, 0, 2, 1])
    for name in ("dpsh", "csq", "dsdh"):
        loss, _, _ = build(name, 6)
        assert float(loss(labels[:, None], codes)) == float(loss(labels, codes))


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_dsrh(kind):
    for seed in range(CASES):
        random = np.random.RandomState(seed)
        size = random.randint(2, 5)
        count = (1 + size) * random.randint(1, 4)
        codes = random.uniform(-1, 1, (count, 6))
        labels = random.randint(0, 3, count)
        if kind == "multi":
            labels = (random.rand(count, CLASSES) < 0.5) * 1
        loss = losses.DSRH(6, list_size=size)
        expected = loops.dsrh(labels, codes, list_size=size)
        np.testing.assert_allclose(
            loss(labels, codes), expected, rtol=2e-4, atol=2e-5
        )


def test_dcc_against_loops():
    for seed in range(CASES):
        random = np.random.RandomState(seed)
        codes = random.randn(8, 5)
        labels = (random.rand(8, CLASSES) < 0.4).astype("float32")
        for eta in (0.1, 1.0, 55.0):
            found = dcc(labels, codes.astype("float32"), eta, 0.1, 3)
            expected = loops.dcc(labels, codes, eta, 0.1, 3)
            np.testing.assert_array_equal(found, expected)
    found = dcc(labels, codes.astype("float32"), 0.1, 0.1, 10)
    expected = loops.dcc(labels, codes, 0.1, 0.1, 10)
    np.testing.assert_array_equal(found, expected)


def test_dcc_reaches_the_network():
    """The discrete codes change the gradient (they do not in other code)."""
    codes = tf.constant(np.random.RandomState(0).randn(16, 6), "float32")
    labels = np.arange(16) % CLASSES
    gradients = []
    for eta in (0.01, 1000.0):
        loss = losses.DSDH(6, CLASSES, eta=eta)
        with tf.GradientTape() as tape:
            tape.watch(codes)
            value = loss(labels, codes)
        gradients.append(tape.gradient(value, codes).numpy())
    assert np.abs(gradients[0] - gradients[1]).max() > 1e-3


def test_dsdh_needs_the_number_of_classes():
    with pytest.raises(ValueError, match="needs `num_classes`"):
        losses.DSDH(6)(np.arange(4), np.ones((4, 6)))


def test_classifier_losses_need_no_length():
    outputs = {"code": np.ones((3, 7)), "logits": np.zeros((3, 4))}
    for cls in (losses.GreedyHash, losses.SSDH, losses.DLBHC):
        expected = cls(7)(np.arange(3), outputs)
        assert float(cls()(np.arange(3), outputs)) == float(expected)


def test_hyp2_distances():
    assert code_distance(48, 260) == 20
    assert code_distance(16, 10) == 8
    # Beyond the table: the Griesmer bound of [20, 4] codes is 9 or 10.
    assert code_distance(20, 10) == 10
    assert code_distance(2, 260) == 1


def test_a_loss_alone_in_a_functional_model():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(8)(inputs))
    model.compile("adam", losses.DPSH(8))
    x = np.random.RandomState(0).randn(12, 5)
    history = model.fit(x, np.arange(12) % 3, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: losses.HashNet(8, weights="dice"), "'dice'"),
        (lambda: losses.DMSSPH(8, level="cosine"), "'cosine'"),
        (lambda: losses.TALR(8, objective="map"), "'map'"),
        (lambda: losses.CSQ(8, 4, codebook="gold"), "'gold'"),
        (lambda: losses.DPN(8, 4, codebook=np.zeros((4, 8))), r"\(4, 8\)"),
        (lambda: losses.DPSH(0), "at least 1"),
        (
            lambda: losses.DPSH(8)(np.zeros((2, 3, 4)), np.zeros((2, 8))),
            "int labels",
        ),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names():
    for name in keras_hash.losses.__all__:
        assert getattr(keras_hash.losses, name).__name__ == f"{name}Loss"


def test_mdshc_check_value_and_references():
    """A number computed in another way, and pairs with a memory bank."""
    k = np.arange(1, 25).reshape(3, 8)
    centres = np.sign(np.sin(0.9 * k**1.5 + 0.1))
    codes = np.tanh(np.sin(0.4 * k[:2] ** 1.5 + 0.2)).astype("float32")
    labels = np.array([0, 2])
    first = {"codebook": centres, "pairs": 0.0, "quantization": 0.0}
    found = losses.MDSHC(8, 3, **first)(labels, codes)
    assert float(found) == pytest.approx(2.754151, abs=2e-6)
    refs = np.array([2, 2, 1, 0]), np.cos(k.reshape(4, 6) @ np.ones((6, 8)))
    found = losses.MDSHC(8, 3, codebook=centres)(
        labels, codes, ref_labels=refs[0], ref_codes=refs[1]
    )
    expected = loops.mdshc(labels, codes, centres, refs=refs)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def both_labels(given, corrected):
    return np.concatenate([np.eye(3)[given], np.eye(3)[corrected]], axis=1)


def test_dslh_check_value():
    """A number computed in another way, with corrected labels."""
    labels = both_labels([0, 1, 2, 0, 1, 0], [0, 1, 1, 0, 2, 0])
    k = np.arange(1, 25).reshape(6, 4)
    codes = 1.5 * np.sin(1.7 * k[:2] ** 1.5 + 0.3)
    refs = np.sin(0.9 * k**1.5 + 0.1)
    given = {"ref_labels": labels, "ref_codes": refs}
    for balance in ("linear", "square"):
        loss = losses.DSLH(4, 3, balance=balance)
        found = float(loss(labels[:2], codes, **given))
        expected = loops.dslh(
            labels[:2], codes, labels, refs, num_classes=3, balance=balance
        )
        assert found == pytest.approx(expected, rel=1e-5)
        if balance == "linear":
            assert found == pytest.approx(55.443840, abs=1e-4)
    with pytest.raises(ValueError, match="balance='cubic'"):
        losses.DSLH(4, 3, balance="cubic")


def test_dsrh_ends_in_a_shorter_list(rng):
    codes, labels = np.tanh(rng.randn(10, 6)), rng.randint(0, 2, (10, 4))
    loss = keras_hash.losses.DSRH(6, list_size=3, balance=0.0, reduction=None)
    found = np.array(loss(labels, codes))
    whole = np.array(loss(labels[:8], codes[:8]))
    # A query and one image: there is nothing to order, and the mean stays.
    assert found.shape == (10,) and not found[[1, 2, 3, 5, 6, 7, 8, 9]].any()
    assert np.mean(found) == pytest.approx(np.mean(whole), rel=1e-6)


def test_lists_of_dsrh_have_a_value_each_row():
    """The query's, whose weight counts; their mean is that of the queries."""
    random = np.random.RandomState(0)
    labels = (random.rand(18, 4) < 0.5).astype("float32")
    codes = np.tanh(random.randn(18, 16)).astype("float32")
    whole = keras_hash.losses.DSRH(16, list_size=3)
    rows = keras_hash.losses.DSRH(16, list_size=3, reduction=None)
    values = np.array(rows(labels, codes))
    assert values.shape == (18,)
    assert (np.flatnonzero(values) % 4 == 0).all()
    assert values.mean() == pytest.approx(float(whole(labels, codes)), 1e-5)
    weights = np.arange(18.0)
    weighted = float(whole(labels, codes, weights))
    assert weighted == pytest.approx((values * weights).mean(), 1e-5)


def test_class_numbers_keep_their_bits():
    for dtype in ("bfloat16", "float16"):
        with pytest.raises(ValueError, match="'float32' or 'float64'"):
            keras_hash.losses.DPSH(16, dtype=dtype)


def test_rows_of_shares_are_alike_as_vectors_are(rng):
    rows = rng.dirichlet(np.ones(5), 7).astype("float32")
    hot = (rng.rand(6, 5) < 0.4).astype("float32")
    for a in (rows, hot):
        for b in (rows, hot):
            norms = [np.linalg.norm(side, axis=1) for side in (a, b)]
            both = np.outer(*norms)
            cosine = a @ b.T / np.where(both > 0, both, 1)
            found = similarity.pairs(a, b, similarity.cosine)
            np.testing.assert_allclose(found, cosine, atol=1e-6)
            found = np.array(similarity.pairs(a, b, similarity.any_shared))
            np.testing.assert_array_equal(found, a @ b.T > 0)
    for measure in (similarity.cosine, similarity.jaccard):
        found = np.diag(np.array(similarity.pairs(rows, rows, measure)))
        np.testing.assert_allclose(found, 1, atol=1e-6)
    # Of multi-hot rows they are those of sets.
    shared, a, b = hot @ hot.T, hot.sum(1)[:, None], hot.sum(1)
    np.testing.assert_allclose(
        similarity.pairs(hot, hot, similarity.jaccard),
        shared / np.maximum(a + b - shared, 1),
        atol=1e-6,
    )

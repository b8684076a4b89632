"""ITQ, CCA-ITQ, SH and KSH against plain re-implementations, and ties."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import threadpoolctl
from scipy import linalg
from scipy import special
from sklearn import datasets

import keras_hash
from keras_hash import codes as codes_lib
from keras_hash import export
from keras_hash import methods
from keras_hash.methods import _solved
from keras_hash.methods import collaborativehashing
from keras_hash.methods import itq
from keras_hash.methods import ksh
from keras_hash.methods import sh

SOLVED = [
    model
    for model, _ in methods.registry().values()
    if issubclass(model, _solved.SolvedHash)
]
NAMES = [model.__name__ for model in SOLVED]
SUPERVISED = [model.__name__ for model in SOLVED if model.supervised]


def make(name, bits=8, width=12, **settings):
    settings = {"num_classes": 3, "input_shape": (width,), **settings}
    settings.setdefault("backbone", "features")
    return getattr(keras_hash.models, name)(bits, **settings)


def clusters(rng, count=60, width=12):
    """Features around three centres far from 0, and their labels."""
    labels = rng.randint(3, size=count)
    centres = 2 * rng.randn(3, width) + 5
    features = centres[labels] + rng.randn(count, width)
    return features.astype("float32"), labels


def loss(projected, turn):
    rotated = projected @ turn
    return np.sum((np.where(rotated >= 0, 1, -1) - rotated) ** 2)


# ITQ


def test_planted_rotation_is_found(rng):
    corners = rng.choice([-1.0, 1.0], (500, 6))
    planted = np.linalg.qr(rng.randn(6, 6))[0]
    turns = [itq.rotation(corners @ planted, 50, seed) for seed in range(8)]
    # The rounds end in a local minimum; from some starts it is the global one.
    turn = min(turns, key=lambda turn: loss(corners @ planted, turn))
    assert loss(corners @ planted, turn) < 1e-20
    # The corners come back, up to the order and the signs of the bits.
    signed_order = np.abs(planted @ turn)
    np.testing.assert_allclose(np.sort(signed_order)[:, :-1], 0, atol=1e-10)
    np.testing.assert_allclose(np.sort(signed_order)[:, -1], 1, atol=1e-10)


def test_quantization_loss_never_rises(rng):
    projected = rng.randn(300, 8) * np.linspace(3, 0.3, 8)
    turns = [itq.rotation(projected, k, seed=2) for k in range(30)]
    losses = [loss(projected, turn) for turn in turns]
    assert (np.diff(losses) <= 1e-9).all() and losses[-1] < 0.95 * losses[0]
    for turn in turns:
        np.testing.assert_allclose(turn.T @ turn, np.eye(8), atol=1e-12)
    # The last step is the best rotation for its soft signs: no other one, near
    # or far, is nearer to them.
    signs = _solved.soft_signs(projected @ turns[-2])
    best = np.sum((signs - projected @ turns[-1]) ** 2)
    for scale in (1e-3, 1e-2, 1.0):
        skew = scale * rng.randn(8, 8)
        other = turns[-1] @ linalg.expm(skew - skew.T)
        assert np.sum((signs - projected @ other) ** 2) > best


def test_itq_rotates_the_principal_directions(rng):
    features, _ = clusters(rng)
    values, vectors = np.linalg.eigh(np.cov(features.T.astype("float64")))
    expected = vectors[:, ::-1][:, :5]
    found = itq.principal(features, 5)
    np.testing.assert_allclose(
        np.abs(np.sum(found * expected, axis=0)), 1, rtol=1e-9
    )
    covariance = _solved.covariance(features, features)
    np.testing.assert_allclose(
        _solved.leading_directions(covariance, 5)[0],
        values[::-1][:5] * 59 / 60,
        rtol=1e-9,
    )
    model = make("ITQ", 5)
    model.adapt(features)
    projection = np.array(model.head.projection, "float64")
    np.testing.assert_allclose(projection.T @ projection, np.eye(5), atol=1e-6)
    inside = expected @ expected.T @ projection
    np.testing.assert_allclose(inside, projection, atol=1e-6)
    centred = features - features.mean(axis=0)
    np.testing.assert_allclose(
        model.real_codes(features), centred @ projection, atol=1e-4
    )


def test_covariance_in_parts(rng):
    left, right = rng.randn(50, 4) + 3, rng.randn(50, 2)
    whole = _solved.covariance(left, right)
    np.testing.assert_allclose(_solved.covariance(left, right, rows=7), whole)
    expected = np.cov(left.T, right.T, bias=True)[:4, 4:]
    np.testing.assert_allclose(whole, expected)


def test_canonical_directions_against_the_singular_values(rng):
    features, labels = clusters(rng, 200, 6)
    hot = np.eye(3)[labels]
    found = itq.canonical(features, hot, 6, ridge=1e-9)
    # Canonical correlations are the singular values between the orthonormal
    # bases of both sides; two of them are above 0 for three classes.
    basis = np.linalg.qr(features - features.mean(axis=0))[0]
    other = np.linalg.svd(hot - hot.mean(axis=0), full_matrices=False)[0]
    correlations = np.linalg.svd(basis.T @ other[:, :2])[1]
    scores = (features - features.mean(axis=0)) @ found
    # Unit variance times the correlation.
    np.testing.assert_allclose(scores.std(axis=0)[:2], correlations, rtol=1e-4)
    np.testing.assert_allclose(scores.std(axis=0)[2:], 0, atol=1e-3)
    assert abs(np.corrcoef(scores[:, :2].T)[0, 1]) < 1e-5


# Collaborative hashing


def test_the_check_values_of_collaborative_hashing():
    k = np.arange(1, 109.0).reshape(12, 9)
    matrix = np.maximum(0, np.sin(0.9 * k**1.5 + 0.2))
    k = np.arange(1, 10.0).reshape(3, 3)
    start = _solved.nearest_rotation(np.sin(0.61 * k**1.5 + 0.2))
    sides = []
    for centred in (
        (matrix - matrix.mean(axis=0)).T,
        matrix - matrix.mean(axis=1, keepdims=True),
    ):
        vectors = np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, :3]
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(3)]
        sides.append((vectors * np.sign(largest)).T @ centred)
    h, g, turn_h, turn_g = collaborativehashing.alternate(
        matrix, *sides, start, 1000.0, 20, soft=1e-9
    )
    predicted = 0.5 + h.T @ g / 6
    sigma = np.sum(predicted * matrix) / np.sum(predicted**2)
    found = [
        sigma,
        np.sum((h - turn_h @ sides[0]) ** 2) / 12,
        np.sum((g - turn_g @ sides[1]) ** 2) / 9,
        1000 * np.mean((sigma * predicted - matrix) ** 2),
    ]
    expected = [0.811628, 1.868839, 1.366396, 102.974544]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(h[:, 0], [-1, 1, -1])
    signs = codes_lib.sign(turn_h @ sides[0])
    assert np.mean(signs == h) == pytest.approx(0.75)


def test_columns_are_near_the_rows_that_have_them(rng):
    """Two kinds of images with words of their own."""
    kinds = np.arange(200) % 2
    rates = np.where(kinds[:, None] == (np.arange(20) < 10), 6.0, 0.5)
    counts = rng.poisson(rates).astype("float32")
    model = make("CollaborativeHashing", 4, 20)
    model.adapt(counts, verbose=False)
    words = model.column_codes
    assert words.shape == (20, 1) and words.dtype == "uint8"
    images = model.encode(counts, verbose=False)
    apart = codes_lib.hamming(images, words)
    own = kinds[:, None] == (np.arange(20) < 10)
    assert apart[own].mean() < apart[~own].mean() - 1
    with pytest.raises(ValueError, match="at least 0"):
        model.adapt(counts - 5, verbose=False)


# Hash bit selection


def test_chosen_bits_are_good_codes(rng):
    """Above the same number of bits of the pool at random."""
    features, labels = clusters(rng, 300, 32)
    noise = 6 * rng.randn(300, 32)
    features = (features + noise).astype("float32")
    scores = {}
    for pool in (200, 8):
        found = []
        for seed in range(4):
            model = make("HashBitSelection", 8, 32, pool=pool, seed=seed)
            model.adapt(features, verbose=False)
            codes = model.encode(features, verbose=False)
            report = keras_hash.evaluate(codes, labels, codes, labels, bits=8)
            found.append(report.metrics["map"])
        scores[pool] = np.mean(found)
    assert scores[200] > scores[8]
    with pytest.raises(ValueError, match="pool"):
        make("HashBitSelection", 8, pool=7)


# SH


def loop_sh(features, queries, bits):
    """The authors' two functions, line by line, and the chosen modes."""
    features = features.astype("float64")
    values, vectors = np.linalg.eigh(np.cov(features.T))
    count = min(bits, features.shape[1])
    directions = vectors[:, ::-1][:, :count]
    projected = features @ directions
    low = projected.min(axis=0) - 2.2e-16
    high = projected.max(axis=0) + 2.2e-16
    ranges = high - low
    table = [np.zeros(count)]
    for i in range(count):
        for k in range(1, int(np.ceil((bits + 1) * ranges[i] / max(ranges)))):
            mode = np.zeros(count)
            mode[i] = k
            table.append(mode)
    values = [np.sum((mode * np.pi / ranges) ** 2) for mode in table]
    chosen = [table[i] for i in np.argsort(values, kind="stable")][1:][:bits]
    real = np.ones((len(queries), bits))
    for row, x in enumerate(queries.astype("float64") @ directions):
        for bit, mode in enumerate(chosen):
            for i in range(count):
                omega = mode[i] * np.pi / ranges[i]
                real[row, bit] *= np.sin((x[i] - low[i]) * omega + np.pi / 2)
    return real, np.array(chosen), ranges


@pytest.mark.parametrize("bits", [3, 12, 20])
def test_sh_by_loops(rng, bits):
    features = (rng.randn(40, 6) * [5, 4, 2, 1, 0.5, 0.1]).astype("float32")
    features += 20
    queries = (1.3 * features[:10]).astype("float32")
    expected, chosen, ranges = loop_sh(features, queries, bits)
    assert (np.sum(chosen > 0, axis=1) == 1).all()
    sides, halves = sh.modes(ranges, bits)
    np.testing.assert_array_equal(np.argmax(chosen, axis=1), sides)
    np.testing.assert_array_equal(np.max(chosen, axis=1), halves)
    model = make("SH", bits, 6, num_classes=None)
    model.fit(features)
    found = model.real_codes(queries)
    # A principal direction may point the other way: then its waves of an odd
    # number of halves have the other sign.
    turned = np.sign(np.sum(found * expected, axis=0))
    np.testing.assert_allclose(found, turned * expected, atol=2e-3)
    for side in range(6):
        odd = turned[(sides == side) & (halves % 2 == 1)]
        assert (turned[(sides == side) & (halves % 2 == 0)] == 1).all()
        assert len(set(odd)) <= 1


def test_sh_skips_sides_without_length():
    sides, halves = sh.modes(np.array([2.0, 0.0, 1e-17]), 4)
    assert list(sides) == [0] * 4 and list(halves) == [1, 2, 3, 4]


# KSH


def dense_similarity(labels):
    size = len(labels)
    pairs = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            if labels.ndim == 1:
                same = labels[i] == labels[j]
            else:
                same = any(a and b for a, b in zip(labels[i], labels[j]))
            pairs[i, j] = 1 if same else -1
    return pairs


@pytest.mark.parametrize("multi", [False, True])
def test_residue_is_the_dense_matrix(rng, multi):
    labels = rng.randint(2, size=(15, 4)) if multi else rng.randint(3, size=15)
    residue = ksh.Residue(labels, 8)
    dense = 8 * dense_similarity(labels)
    for _ in range(3):
        vector = rng.randn(15)
        np.testing.assert_allclose(residue @ vector, dense @ vector)
        code = rng.choice([-1.0, 1.0], 15)
        residue.remove(code)
        dense -= np.outer(code, code)


def kernels_of(rng, count=50, anchors=7):
    features, labels = clusters(rng, count, 5)
    features = features.astype("float64")
    found = np.empty((count, anchors))
    for i in range(count):
        for j in range(anchors):
            found[i, j] = np.sum((features[i] - features[j]) ** 2)
    width = found.mean()
    found = np.exp(-found / (2 * width))
    np.testing.assert_allclose(
        ksh.kernel(features, features[:anchors], width), found
    )
    return found - found.mean(axis=0), labels


def spectral(kernels, matrix):
    """The authors' first solution: a generalised eigenvector, scaled."""
    left, right = kernels.T @ matrix @ kernels, kernels.T @ kernels
    values, vectors = linalg.eigh(left, right)
    best = vectors[:, -1]
    return best * np.sqrt(len(kernels) / (best @ right @ best))


def test_spectral_bits_by_scipy(rng):
    kernels, labels = kernels_of(rng)
    matrix = 4 * dense_similarity(labels)
    found, _ = ksh.greedy(kernels, labels, 4, steps=0)
    for bit in range(4):
        expected = spectral(kernels, matrix)
        expected *= np.sign(expected @ found[:, bit])
        np.testing.assert_allclose(found[:, bit], expected, rtol=1e-5)
        code = _solved.soft_signs(kernels @ expected)
        matrix -= np.outer(code, code)


def loop_refine(kernels, matrix, start, steps, ridge):
    """The authors' optimisation without shortcuts, and a ridge."""

    def value(a):
        y = 2 * special.expit(kernels @ a) - 1
        return -y @ matrix @ y + ridge * np.sum((kernels @ a) ** 2)

    a0 = a1 = start
    delta, curvature = [0.0, 1.0], 1.0
    for _ in range(steps):
        v = a1 + (delta[-2] - 1) / delta[-1] * (a1 - a0)
        gradient = np.array(
            [
                (value(v + 1e-5 * e) - value(v - 1e-5 * e)) / 2e-5
                for e in np.eye(len(v))
            ]
        )
        while True:
            z = v - gradient / curvature
            step = z - v
            model = value(v) + gradient @ step + curvature * step @ step / 2
            if value(z) <= model:
                break
            curvature *= 2
        a0, a1 = a1, z
        delta.append((1 + np.sqrt(1 + 4 * delta[-1] ** 2)) / 2)
    return a1, value(a1)


@pytest.mark.parametrize("ridge", [0, 2])
def test_refinement_by_loops_and_never_worse_than_the_start(ridge, rng):
    kernels, labels = kernels_of(rng)
    matrix = 4 * dense_similarity(labels)
    start = spectral(kernels, matrix)
    residue = ksh.Residue(labels, 4)
    values = []
    for steps in (1, 2, 6):
        expected, value = loop_refine(kernels, matrix, start, steps, ridge)
        found = ksh.refine(kernels, residue, start, steps, ridge)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        values.append(value)
    assert values[-1] < values[0]


@pytest.mark.parametrize("seed", range(4))
def test_each_bit_is_the_better_of_two(seed):
    kernels, labels = kernels_of(np.random.RandomState(seed), 80)
    columns, _ = ksh.greedy(kernels, labels, 4)
    matrix = 4 * dense_similarity(labels)
    for column in columns.T:
        first = _solved.soft_signs(kernels @ spectral(kernels, matrix))
        code = _solved.soft_signs(kernels @ column)
        least = first @ matrix @ first
        assert code @ matrix @ code >= least - 1e-9 * abs(least)
        matrix -= np.outer(code, code)


def test_ksh_kernels_of_fewer_images_than_anchors(rng):
    features, labels = clusters(rng)
    model = make("KSH", anchors=100, labelled=40)
    model.adapt(features, labels)
    anchors = np.array(model.head.anchors)
    assert anchors.shape == (100, 12) and not anchors[60:].any()
    mean = features.mean(axis=0)
    squares = [[np.sum((x - y) ** 2) for y in features] for x in features]
    assert float(model.head.width) == pytest.approx(np.mean(squares), rel=1e-5)
    found = np.exp(-np.array(squares) / (2 * np.mean(squares)))
    # Anchors are all images, in another order.
    order = [
        np.argmin(np.sum((a + mean - features) ** 2, axis=1))
        for a in anchors[:60]
    ]
    assert sorted(order) == list(range(60))
    real = (found - found.mean(axis=0))[:, order]
    real = real @ np.array(model.head.projection)[:60]
    np.testing.assert_allclose(model.real_codes(features), real, atol=1e-3)


def test_ksh_with_several_labels_an_image(rng):
    labels = (rng.rand(200, 3) < 0.5).astype("uint8")
    features = labels @ rng.randn(3, 12) + 0.1 * rng.randn(200, 12)
    model = make("KSH", 16)
    model.adapt(features.astype("float32"), labels)
    signs = codes_lib.sign(model.real_codes(features.astype("float32")))
    alike = labels @ labels.T > 0
    products = signs @ signs.T
    assert products[alike].mean() > products[~alike].mean() + 8


# Ties


def repeated(rng, count, width, copies):
    """A few points, each many times."""
    points = np.eye(count, width) * 3
    return np.repeat(points, copies, 0), np.repeat(np.arange(count), copies)


def tight(rng):
    labels = np.arange(80) % 4
    noise = 0.02 * rng.randn(80, 16)
    return rng.randn(4, 16)[labels] + 2 + noise, labels


def low_rank(rng):
    factors = rng.randn(100, 2)
    return factors @ rng.randn(2, 12), (factors > 0) @ [1, 2]


def unrelated(rng):
    """Low rank, with labels that no code can follow."""
    factors = rng.randn(100, 2)
    return factors @ rng.randn(2, 12), rng.randint(3, size=100)


def even(rng):
    """As wide in each of three directions."""
    factors = np.linalg.qr(rng.randn(90, 4))[0][:, 1:]
    turn = np.linalg.qr(rng.randn(12, 12))[0][:3]
    return 10 * factors @ turn, (factors > 0) @ [1, 1, 1]


def cube(rng):
    """Corners, ten of each: equal variances and equal ranges."""
    corners = np.array(list(itertools.product([0.0, 2.0], repeat=3)))
    corners = np.repeat(corners, 10, axis=0)
    return np.pad(corners, ((0, 0), (9, 0))), (corners > 0).astype(int)


TIES = {
    "three points": lambda rng: repeated(rng, 3, 12, 40),
    "eight points": lambda rng: repeated(rng, 8, 16, 12),
    "clusters": tight,
    "low rank": low_rank,
    "unrelated": unrelated,
    "even": even,
    "cube": cube,
}
FEW_TIES = ["three points", "cube"]


def tied_case(kind):
    """Features, labels and how many classes they are."""
    features, labels = TIES[kind](np.random.RandomState(0))
    classes = labels.max() + 1 if labels.ndim == 1 else labels.shape[1]
    return features.astype("float32"), labels, int(classes)


def taken(name, features):
    """Features as a method takes them."""
    if name == "CollaborativeHashing":
        return features - features.min()
    return features


def solved(name, bits, features, labels, classes, **settings):
    if name == "KSH":
        settings = {"anchors": 40, **settings}
    width = features.shape[1]
    model = make(name, bits, width, num_classes=classes, **settings)
    model.adapt(features, labels, verbose=False)
    return model


def kept(real, other):
    """Share of the bits that real codes have alike, those near 0 aside."""
    clear = np.abs(real) > 1e-4 * real.std(axis=0)
    return np.mean((real >= 0)[clear] == (other >= 0)[clear])


@pytest.mark.parametrize(
    "bits, times",
    [(5, 3), (12, 3), pytest.param(5, 20, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("kind", TIES)
@pytest.mark.parametrize("name", NAMES)
def test_noise_changes_no_code(name, kind, bits, times, rng):
    features, labels, classes = tied_case(kind)
    features = taken(name, features)
    model = solved(name, bits, features, labels, classes)
    real = model.real_codes(features, verbose=False)
    for _ in range(times):
        noise = 1e-6 * rng.randn(*features.shape)
        noisy = (features * (1 + noise)).astype("float32")
        model.adapt(noisy, labels, verbose=False)
        assert kept(real, model.real_codes(features, verbose=False)) >= 0.99


@pytest.mark.parametrize("kind", TIES)
@pytest.mark.parametrize("name", NAMES)
def test_order_of_sums_changes_no_code(name, kind):
    features, labels, classes = tied_case(kind)
    features = taken(name, features)
    model = make(name, 8, features.shape[1], num_classes=classes)
    codes = []
    for dtype, order, threads in (
        ("float32", "C", 1),
        ("float32", "F", 2),
        ("float64", "C", 2),
    ):
        given = np.asarray(features, dtype, order)
        with threadpoolctl.threadpool_limits(threads):
            weights, _ = model.solve(given, labels)
        for key, value in weights.items():
            getattr(model.head, key).assign(value)
        codes.append(model.real_codes(features))
    clear = np.abs(codes[0]) > 1e-4 * codes[0].std(axis=0)
    for other in codes[1:]:
        assert np.mean(((codes[0] >= 0) == (other >= 0))[clear]) >= 0.99


def write_real_codes(path, *kinds):
    """Real codes of all solved methods on kinds of ties."""
    found = {}
    for name, kind in itertools.product(NAMES, kinds):
        features, *rest = tied_case(kind)
        features = taken(name, features)
        model = solved(name, 8, features, *rest)
        found[f"{name} {kind}"] = model.real_codes(features, verbose=False)
    np.savez(path, **found)


@pytest.mark.parametrize(
    "kinds",
    [FEW_TIES, pytest.param(TIES, marks=pytest.mark.slow)],
    ids=["few", "all"],
)
def test_another_processor_gives_the_same_codes(tmp_path, kinds):
    """Other kernels of BLAS and NumPy, as an older processor takes them."""
    features = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    environment = {
        **os.environ,
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENBLAS_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": " ".join(features),
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
    code = (
        "import runpy, sys; scope = runpy.run_path(sys.argv[1]); "
        "scope['write_real_codes'](*sys.argv[2:])"
    )
    there, here = tmp_path / "there.npz", tmp_path / "here.npz"
    command = [sys.executable, "-c", code, __file__, there, *kinds]
    subprocess.run(command, env=environment, check=True)
    write_real_codes(here, *kinds)
    with np.load(here) as first, np.load(there) as second:
        assert len(first) == len(NAMES) * len(kinds)
        for key, real in first.items():
            clear = np.abs(real) > 1e-4 * real.std(axis=0)
            same = (real >= 0) == (second[key] >= 0)
            assert np.mean(same[clear]) >= 0.99, key


def test_empty_directions_are_counted(capsys):
    features, labels, classes = tied_case("three points")
    for name, empty in (("ITQ", 6), ("CCAITQ", 6), ("SH", 6), ("KSH", 18)):
        settings = {"anchors": 20} if name == "KSH" else {}
        model = make(name, 8, 12, num_classes=classes, **settings)
        model.adapt(features, labels, verbose=False)
        assert capsys.readouterr().err == ""
        model.adapt(features, labels)
        line = f"{name}: {empty} directions are empty"
        assert line in capsys.readouterr().err
    model = make("ITQ", 2, 12)
    model.adapt(features)
    assert capsys.readouterr().err == ""


def test_leading_directions_of_a_group(rng):
    basis = np.linalg.qr(rng.randn(6, 6))[0]
    values = np.array([5.0, 3.0, 3.0001, 3.0, 1.0, 1e-7])
    matrix = basis * values @ basis.T
    found, vectors = _solved.leading_directions(matrix, 6)
    np.testing.assert_allclose(found, [5, 3.0001, 3, 3, 1, 0], atol=1e-6)
    assert not vectors[:, 5].any()
    vectors = vectors[:, :5]
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-12)
    # Each group spans what it should.
    for columns in ([0], [1, 2, 3], [4]):
        own, true = vectors[:, columns], basis[:, columns]
        np.testing.assert_allclose(own @ own.T, true @ true.T, atol=1e-12)
    # Part of a group is the start of the whole.
    part = _solved.leading_directions(matrix, 2)[1]
    np.testing.assert_array_equal(part, vectors[:, :2])


def test_waves_of_equal_frequency_are_in_the_order_of_sides():
    for noise in (0, 1e-6, -1e-6):
        ranges = np.array([2, 2 + noise, 1])
        sides, halves = sh.modes(ranges, 6)
        assert list(sides) == [0, 1, 0, 1, 2, 0]
        assert list(halves) == [1, 1, 2, 2, 1, 3]


# On real digits


@pytest.fixture(scope="module")
def digits():
    """8x8 digits as features, by the benchmark's parts."""
    benchmark = keras_hash.data.load("digits")
    pixels = datasets.load_digits().data.astype("float32")
    return {
        part: (pixels[benchmark.parts[part]], benchmark.arrays(part)[1])
        for part in ("train", "query", "database")
    }


@pytest.fixture(scope="module")
def adapted(digits):
    settings = {"bits": 32, "width": 64, "num_classes": 10}
    models = {name: make(name, **settings) for name in NAMES}
    for model in models.values():
        history = model.fit(*digits["train"])
        assert isinstance(history, keras.callbacks.History)
        assert history.history == {} and history.epoch == []
    return models


def test_retrieval_of_digits(digits, adapted):
    found = {}
    for name, model in adapted.items():
        query, database = digits["query"], digits["database"]
        report = keras_hash.evaluate(
            model.encode(query[0]),
            query[1],
            model.encode(database[0]),
            database[1],
            bits=32,
        )
        found[name] = report.metrics["map"]
    assert found["SH"] > 0.3
    assert found["ITQ"] > 0.62
    assert found["CCAITQ"] > found["ITQ"] + 0.1
    assert found["KSH"] > found["ITQ"] + 0.2


@pytest.mark.parametrize("name", NAMES)
def test_saved_models_give_the_same_codes(digits, adapted, name, tmp_path):
    model, images = adapted[name], digits["query"][0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(images), model.encode(images))
    assert again.get_config() == model.get_config()
    assert not model.head.trainable_variables
    real = model.real_codes(images)
    assert real.dtype == np.float32 and real.shape == (360, 32)
    shares = np.mean(real >= 0, axis=0)
    assert shares.min() > 0.02 and shares.max() < 0.98


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_codes(name, rng):
    features, labels = clusters(rng)
    features = taken(name, features)
    first, second = make(name), make(name)
    first.adapt(features, labels)
    # What was solved before leaves no trace.
    second.adapt(taken(name, 3 - features[::-1]), labels)
    assert (second.encode(features) != first.encode(features)).any()
    second.adapt(features, labels, batch_size=7)
    np.testing.assert_array_equal(
        first.encode(features), second.encode(features)
    )


@pytest.mark.parametrize("name", NAMES)
def test_images_datasets_and_the_exported_graph(name, rng):
    labels = rng.randint(3, size=40)
    images = (
        rng.randint(0, 90, (40, 16, 16, 3)) + 80 * labels[:, None, None, None]
    )
    images = images.astype("uint8")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    settings = {"backbone": "small", "input_shape": (16, 16, 3)}
    model = make(name, **settings)
    model.adapt(images, labels)
    codes, real = model.encode(images), model.real_codes(images)
    other = make(name, **settings)
    for given in (
        dataset,
        dataset.batch(9),
        keras_hash.data.batches(dataset, 16),
    ):
        other.fit(given, batch_size=16, verbose=0)
        assert kept(real, other.real_codes(images)) > 0.99
    module, _ = export.encoder_module(model)
    served = module.encode(tf.constant(images, "float32"))["code_bits"]
    found = codes_lib.unpack(codes, 8)
    assert np.mean((np.array(served) > 0) == (found > 0)) > 0.97


# Bad input


@pytest.mark.parametrize("name", NAMES)
def test_bad_data(name, rng):
    features, labels = clusters(rng)
    model = make(name)
    with pytest.raises(ValueError, match="call `adapt` first"):
        model.encode(features)
    with pytest.raises(ValueError, match="at least 8 images. Received: 7"):
        model.adapt(features[:7], labels[:7])
    with pytest.raises(ValueError, match="at least 8 images. Received: 0"):
        model.adapt(features[:0], labels[:0])
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 60"):
        spoiled = features.copy()
        spoiled[3, 2] = np.nan
        model.adapt(spoiled, labels)
    with pytest.raises(ValueError, match="images are the same"):
        model.adapt(np.ones((60, 12), "float32"), labels)
    with pytest.raises(ValueError, match=r"takes features \[n, 12\]"):
        model.adapt(features[:, :5], labels)
    if name in SUPERVISED:
        with pytest.raises(ValueError, match=r"ints \[60\].*shape=\(59,\)"):
            model.adapt(features, labels[:59])
    with pytest.raises(ValueError, match="solved, not trained.*epochs, steps"):
        model.fit(features, labels, epochs=2, steps=3)
    with pytest.raises(ValueError, match="solved, not trained: call `adapt`"):
        model.compile("sgd")
    assert not np.any(model.head.projection)


@pytest.mark.parametrize("name", SUPERVISED)
def test_bad_labels(name, rng):
    features, labels = clusters(rng)
    model = make(name)
    alone = tf.data.Dataset.from_tensor_slices(features)
    for given in (features, alone):
        with pytest.raises(ValueError, match="Received: labels=None"):
            model.adapt(given)
    with pytest.raises(ValueError, match="0 .. 2"):
        model.adapt(features, labels + 1)
    with pytest.raises(ValueError, match=r"labels.shape=\(60, 4\)"):
        model.adapt(features, np.eye(4)[labels])
    with pytest.raises(ValueError, match="the same labels"):
        model.adapt(features, 0 * labels)
    with pytest.raises(ValueError, match="at least 2"):
        make(name, num_classes=None)
    model.adapt(features, labels[:, None])
    codes = model.encode(features)
    model.adapt(features, np.eye(3)[labels])
    np.testing.assert_array_equal(model.encode(features), codes)


def test_bad_datasets(rng):
    features, labels = clusters(rng)
    model = make("CCAITQ")
    dataset = tf.data.Dataset.from_tensor_slices((features, labels))
    with pytest.raises(ValueError, match="a dataset and labels"):
        model.adapt(dataset, labels)
    weighted = tf.data.Dataset.from_tensor_slices((features, labels, labels))
    scalar = tf.data.Dataset.from_tensor_slices((labels, labels))
    for bad, message in (
        (dataset.repeat(), "`images` never ends"),
        (weighted, "no weights of images"),
        (scalar, "should be a dataset of images"),
    ):
        with pytest.raises(ValueError, match=message):
            model.adapt(bad)


def test_bad_backbones(rng):
    images = rng.randint(0, 256, (20, 8, 8, 3))
    inputs = keras.Input((8, 8, 3))
    unpooled = keras.Model(inputs, inputs * 1.0)
    with pytest.raises(ValueError, match="such as behind a `GlobalAverage"):
        make("SH", backbone=unpooled, input_shape=(8, 8, 3))
    logarithm = keras.layers.Flatten()(keras.ops.log(inputs))
    endless = keras.Model(inputs, logarithm)
    model = make("SH", backbone=endless, input_shape=(8, 8, 3))
    with pytest.raises(ValueError, match="Features should be finite"):
        model.adapt(images)


def test_bad_settings():
    for name in ("ITQ", "CCAITQ"):
        with pytest.raises(ValueError, match="features, 12; take fewer bits"):
            make(name, 13)
        with pytest.raises(ValueError, match="iterations=-1"):
            make(name, iterations=-1)
    assert make("SH", 13).bits == 13
    for wrong in ({"anchors": 1}, {"labelled": 0}):
        with pytest.raises(ValueError, match="an int of at least 2"):
            make("KSH", **wrong)
    with pytest.raises(ValueError, match="memory bank"):
        make("KSH", bank_size=50)

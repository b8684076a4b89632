"""Average precision of each query: that of the query alone."""

import functools

import numpy as np
import pytest

import keras_hash

BITS = 12


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("similarity", ["hamming", "and"])
def test_average_precision_of_each_query(kind, similarity, rng, monkeypatch):
    # Codes that know something of the labels, and labels that the database
    # (single) or some queries (multi) lack.
    if kind == "single":
        targets = rng.randint(4, size=90)
        targets[30:] = np.maximum(targets[30:], 1)
        known = np.eye(4)[targets]
    else:
        targets = known = (rng.rand(90, 4) < 0.4).astype("uint8")
    real = (known - known.mean(axis=0)) @ rng.randn(4, BITS)
    codes = keras_hash.codes.pack(real + 0.8 * rng.randn(90, BITS))
    if kind == "multi":
        targets[:3] = 0
    query, labels, *searched = (
        codes[:30],
        targets[:30],
        codes[30:],
        targets[30:],
    )
    # Each query twice.
    query, labels = np.tile(query, (2, 1)), np.concatenate([labels, labels])
    parts = keras_hash.HammingEvaluator._parts
    few = functools.partialmethod(parts, few=1, cells=100)
    monkeypatch.setattr(keras_hash.HammingEvaluator, "_parts", few)
    evaluator = keras_hash.HammingEvaluator(query, labels, BITS, similarity)
    with pytest.raises(ValueError, match="There is no database yet"):
        evaluator.average_precision()
    evaluator.update(*searched)
    for options in (
        {},
        {"k": 7},
        {"k": 7, "denominator": "all"},
        {"k": 7, "denominator": "topk", "no_relevant": "skip"},
        {"no_relevant": "skip"},
    ):
        values = evaluator.average_precision(**options)
        assert values.shape == (60,)
        suffix = {"all": "_all", "topk": "_topk"}.get(
            options.get("denominator"), ""
        )
        key = f"map@7{suffix}" if "k" in options else "map"
        whole = evaluator.result(**{"k": 7, **options})
        assert np.nanmean(values) == pytest.approx(whole.metrics[key])
        skipped = np.isnan(values)
        assert skipped.any() == (options.get("no_relevant") == "skip")
        assert (values[~skipped] >= 0).all() and len(set(values)) > 10
        for i in range(30):
            one = keras_hash.evaluate(
                query[i : i + 1],
                labels[i : i + 1],
                *searched,
                bits=BITS,
                similarity=similarity,
                **{"k": 7, **options},
            )
            np.testing.assert_allclose(values[i], one.metrics[key], rtol=1e-9)
            np.testing.assert_equal(values[i], values[i + 30])
    for options, message in (
        ({"k": 0}, "`k` should be"),
        ({"denominator": "mean"}, "`denominator` should be"),
        ({"denominator": ["min"]}, "`denominator` should be"),
        ({"no_relevant": "drop"}, "`no_relevant` should be"),
        ({"self_match": "yes"}, "`self_match` should be"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluator.average_precision(**options)
    itself = keras_hash.HammingEvaluator(*searched, BITS, similarity)
    itself.update(*searched)
    values = itself.average_precision(self_match="drop")
    whole = itself.result(k=5, self_match="drop").metrics
    assert values.mean() == pytest.approx(whole["map"])
    assert itself.average_precision().mean() > values.mean()

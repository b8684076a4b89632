"""`keras-hash export`."""

import json

import numpy as np

import keras_hash
from keras_hash import zoo
from tests.cli.command import run

NAME = "dshc_digits_30"


def test_export(digit_files, tmp_path, monkeypatch):
    import tensorflow as tf

    from keras_hash.export import slimming

    out = tmp_path / "serving"
    code, text, err = run("export", NAME, "--out", out)
    assert code == 0, err
    assert "image_bytes string [n] -> code uint8 [n, 4], code_bits" in text
    query = digit_files / "query0.png"
    expected = zoo.encode_files(NAME, [query])
    content = tf.constant([query.read_bytes()])
    served = tf.saved_model.load(str(out / "1")).signatures
    found = served["serving_default"](image_bytes=content)
    np.testing.assert_array_equal(found["code"], expected)
    first = (out / "1" / "saved_model.pb").read_bytes()

    code, _, err = run("export", NAME, "--out", out)
    assert code == 2 and "add `--version 2`" in err
    index = tmp_path / "my.index"
    run("search", NAME, "--images", digit_files, "--index", index)
    search = ("export", NAME, "--out", out, "--search", index, "-k", 3)
    opened = keras_hash.Index.load(index)
    opened.about["runtimes"] = ["other"]
    opened.save(index)
    code, _, err = run(*search, "--version", 2)
    assert code == 2 and "give `--any-runtime`" in err
    search += ("--any-runtime",)
    with monkeypatch.context() as patch:

        def stop(*_):
            raise KeyboardInterrupt

        patch.setattr(slimming, "slim", stop)
        code, _, err = run(*search, "--version", 2)
        assert code == 130
    assert [p.name for p in out.iterdir()] == ["1"]
    code, text, err = run(*search, "--version", 2, "--json")
    assert code == 0, err
    signatures = json.loads(text)["signatures"]
    assert signatures["serving_default"] == [
        {"image_bytes": "string [n]"},
        {"distances": "int32 [n, 3]", "ids": "string [n, 3]"},
    ]
    found = tf.saved_model.load(str(out / "2")).signatures["serving_default"](
        image_bytes=content
    )
    distances, _ = keras_hash.Index.load(index).search(expected, k=3)
    np.testing.assert_array_equal(found["distances"], distances)
    # The ids are of files that are that near.
    paths = [path.decode() for path in found["ids"].numpy()[0]]
    codes = zoo.encode_files(NAME, paths)
    np.testing.assert_array_equal(
        keras_hash.codes.hamming(expected, codes), distances
    )
    assert sorted(p.name for p in out.iterdir()) == ["1", "2"]
    assert (out / "1" / "saved_model.pb").read_bytes() == first

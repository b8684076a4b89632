"""The pipeline of Beam: its options, its models, and where it is missing."""

import sys

import pytest

from keras_hash.extras import corpus
from keras_hash.extras.corpus import filesystems
from tests.extras.corpus.inputs import png
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import NEEDS_BEAM
from tests.extras.corpus.outputs import by_id
from tests.extras.corpus.outputs import encode
from tests.extras.corpus.outputs import found


def test_without_beam(photos, tmp_path, monkeypatch):
    # Earlier tests may have imported parts of it.
    loaded = [name for name in sys.modules if name.startswith("apache_beam.")]
    for name in ("apache_beam", *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "keras_hash.extras.corpus.pipeline", False)
    monkeypatch.delattr(corpus, "pipeline", False)
    listing = corpus.from_glob(str(photos))
    with pytest.raises(ImportError, match=r"keras-hash\[beam\]"):
        encode(listing, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_system_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ImportError, match="gcsfs"):
        filesystems.read("gs://bucket/file")


@NEEDS_BEAM
def test_the_model_is_loaded_once(photos, tmp_path, images, monkeypatch):
    from keras_hash.extras.corpus import pipeline

    loads = []
    load = pipeline.ShardHandler.load_model

    def counted(self):
        loads.append(1)
        return load(self)

    monkeypatch.setattr(pipeline.ShardHandler, "load_model", counted)
    threads = ["--direct_num_workers", "2"]
    threads += ["--direct_running_mode", "multi_threading"]
    listing = corpus.from_glob(str(photos))
    encode(listing, tmp_path / "out", options=threads)
    assert len(loads) == 1 and found(tmp_path / "out") == by_id(images)


@NEEDS_BEAM
def test_the_handler_serves_any_pipeline(images):
    import apache_beam as beam
    from apache_beam.ml.inference import base
    from apache_beam.testing import util

    from keras_hash.extras.corpus import pipeline

    contents = [(f"{n}", png(image)) for n, image in enumerate(images[0])]
    contents.append(("bad", b"this is no image at all, is it?"))
    handler = base.KeyedModelHandler(pipeline.EncoderHandler(NAME))
    expected = {f"{n}": code.tobytes() for n, code in enumerate(images[1])}

    def check(found):
        bad = dict(found).pop("bad")
        assert bad.code is None and bad.reason == "not an image of a known kind"
        codes = {name: one.code for name, one in found if name != "bad"}
        assert codes == expected

    options = pipeline.pipeline_options([])
    with beam.Pipeline(options=options) as beams:
        found = beams | beam.Create(contents) | base.RunInference(handler)
        util.assert_that(found, check)


@NEEDS_BEAM
def test_options_of_beam():
    from keras_hash.extras.corpus import pipeline

    def options(*words):
        return pipeline.pipeline_options(words).get_all_options()

    assert options()["runner"] == "FnApiRunner"
    given = options("--runner", "FlinkRunner", "--flink_master=x:1")
    assert (given["runner"], given["flink_master"]) == ("FlinkRunner", "x:1")
    with pytest.raises(ValueError, match="no such options.*: imges_per_shard"):
        options("--imges_per_shard", "3")
    options("--runner", "FlinkRunner", "--", "--of_the_server", "3")

"""Smaller graphs give the same results; entries are checked in test_export."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_hash import zoo
from keras_hash.export import slimming


def test_slimming_twice_changes_nothing():
    """What is slimmed loads, see the tests of entries; again is harmless."""
    folder = zoo.entry_folder("dshc_digits_30")
    version = str(zoo.card("dshc_digits_30")["version"])
    content = (folder / version / "saved_model.pb").read_bytes()
    assert slimming.slim(content) == content


def test_slimming_keeps_functions_of_different_weights(tmp_path):
    """Equal bodies are one function only where they read the same weights."""

    class Shifts(tf.Module):
        def __init__(self):
            self.first = tf.Variable([1.0])
            self.second = tf.Variable([2.0])
            spec = [tf.TensorSpec([None], name="x")]
            self.up = tf.function(lambda x: {"y": x + self.first}, spec)
            self.more = tf.function(lambda x: {"y": x + self.second}, spec)

    module = Shifts()
    signatures = {"a": module.up, "b": module.up, "c": module.more}
    tf.saved_model.save(module, str(tmp_path), signatures)
    path = tmp_path / "saved_model.pb"
    whole = path.read_bytes()
    slim = slimming.slim(whole)
    path.write_bytes(slim)

    loaded = tf.saved_model.load(str(tmp_path))
    ones = tf.ones([3])
    results = {
        name: loaded.signatures[name](x=ones)["y"].numpy()[0]
        for name in signatures
    }
    assert results == {"a": 2, "b": 2, "c": 3}
    assert loaded.up(ones)["y"][0] == 2
    assert loaded.more(ones)["y"][0] == 3

    def wrappers(content):
        saved = saved_model_pb2.SavedModel.FromString(content)
        library = saved.meta_graphs[0].graph_def.library.function
        names = [f.signature.name for f in library]
        return [name for name in names if "signature_wrapper" in name]

    assert len(wrappers(whole)) == 3
    assert len(wrappers(slim)) == 2
    assert len(slim) < len(whole)

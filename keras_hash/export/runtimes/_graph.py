"""The graph that all formats are converted from."""

import keras
import numpy as np

from keras_hash import codes
from keras_hash.export import encoder


def encode(model, as_inputs=False, real=False, mirror=False):
    """From images of the model's size to codes, as a `tf.function`.

    They are packed, or `real` ones of the weights exactly as they are; `mirror`
    is as in `HashModel.encode`.

    Else weights are in it as an export keeps them and widened in the graph, as
    constants or, `as_inputs`, as inputs: a converter that computes with
    constants then keeps them small. With it come the specs of its inputs,
    `image` first, and a dict from the names of the others to arrays.
    """
    arrays = encoder.stored_weights(model, exact=real)
    import tensorflow as tf

    specs = [tf.TensorSpec((None, *model.image_shape), name="image")]
    if as_inputs:
        specs += [
            tf.TensorSpec(array.shape, array.dtype, name)
            for name, array in arrays.items()
        ]

    def code(image, *given):
        given = given if as_inputs else map(tf.constant, arrays.values())
        given = dict(zip(arrays, given))
        found = encoder.graph_codes(model, image, given, mirror)
        return {"code": found if real else codes.pack(found)}

    function = tf.function(code, input_signature=specs, autograph=False)
    return function, specs, arrays


def array(images):
    """Images as runtimes take them: a C-contiguous array, float32."""
    images = keras.ops.convert_to_numpy(images)
    return np.ascontiguousarray(images, "float32")

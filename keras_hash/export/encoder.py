"""Encoders as SavedModels that TensorFlow Serving loads as they are.

The graph holds the preprocessing, the network and the packing. Weights are
stored compactly, once, and widened in the graph; the Keras model is built back
from the same file (`keras_hash.load`). What depends on the images is written as
operations: AutoGraph would only spend seconds on rewriting each function.
"""

import functools
import shutil

import keras
import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import devices
from keras_hash import files
from keras_hash.data import headers as limits
from keras_hash.data import images as pixels


def compact(value, dtype):
    """A weight in fewer bytes, float16 or int8, and its scales or `None`.

    In int8 with one scale for each output channel: the last axis, of depthwise
    kernels the one before. Vectors stay float32, whole numbers are kept.
    """
    if dtype not in ("float16", "int8"):
        raise ValueError(
            "Weights should be stored as 'float16' or 'int8'. "
            f"Received: {dtype!r}"
        )
    if value.dtype.kind in "iu":
        return value, None
    value = value.astype("float32")
    if not np.isfinite(value).all():
        raise ValueError(
            "A weight holds NaN or infinity; the model cannot be exported. "
            f"Received: a weight of shape {value.shape}"
        )
    if value.ndim < 2:
        return value, None
    largest = np.abs(value).max()
    if largest <= 127 and (value == np.round(value)).all():
        return value.astype("int8"), None
    if dtype == "float16":
        # Among smaller ones it has few bits left.
        fits = 2.0**-12 < largest < np.finfo("float16").max or not largest
        return value.astype("float16") if fits else value, None
    axis = -1 if value.shape[-1] > 1 else -2
    others = tuple(i for i in range(value.ndim) if i != value.ndim + axis)
    scale = np.abs(value).max(axis=others) / 127
    if axis == -2:
        scale = scale[:, None]
    scale = np.where(scale == 0, 1, scale).astype("float32")
    return np.round(value / scale).clip(-127, 127).astype("int8"), scale


def widen(stored, scale, dtype):
    """The weight that a stored array stands for.

    The same arithmetic as in the exported graph, so that both agree to the bit.
    """
    if scale is None:
        return stored.astype(dtype)
    return (stored.astype("float32") * scale).astype(dtype)


def stored_weights(model, compact_dtype=None, exact=False):
    """The weights as an export keeps them, `w000` ..., then their scales; or
    exactly as they are."""
    if not hasattr(model, "image_shape"):
        raise ValueError(
            "A `HashModel` is exported. Received: a model of type "
            f"{type(model).__name__}"
        )
    if len(model.image_shape) != 3:
        raise ValueError(
            "Models of images are exported; build the model on a backbone to "
            "export what was trained on its features. "
            f"Received: input_shape={model.image_shape}"
        )
    model.check_ready()
    devices.check_backend("Exporting")
    weights, scales = {}, {}
    for index, variable in enumerate(model.encoder_variables):
        value = keras.ops.convert_to_numpy(variable.value)
        kept = value, None
        if not exact:
            kept = compact(value, compact_dtype or model.stored_as)
        weights[f"w{index:03d}"], scales[f"scale{index:03d}"] = kept
    return weights | {k: v for k, v in scales.items() if v is not None}


def graph_codes(model, images, stored, mirror=False):
    """Real codes inside a graph, from weights as an export keeps them."""
    import tensorflow as tf

    widened = []
    for index, variable in enumerate(model.encoder_variables):
        value = stored[f"w{index:03d}"]
        if f"scale{index:03d}" in stored:
            value = tf.cast(value, "float32") * stored[f"scale{index:03d}"]
        widened.append((variable, tf.cast(value, variable.dtype)))
    with keras.StatelessScope(state_mapping=widened):
        return model.images_to_codes(images, mirror)


def encoder_module(model, compact_dtype=None):
    """Builds the `tf.Module` that is saved for a model.

    Its variables are `w["000"]`, `w["001"]` ... in the order of
    `model.encoder_variables`, and `scale["003"]` ... where a weight is int8.

    Args:
        model: a `HashModel`, built.
        compact_dtype: `"float16"` or `"int8"`, see `compact`. Defaults to how
            the entry that the model was loaded from keeps its weights, which
            changes nothing, and to float16.

    Returns:
        A pair: the module, and its signatures: a dict with `encode` (`image`,
        float32 `[n, h, w, 3]`, raw pixels) and `encode_bytes` (`image_bytes`,
        string `[n]`: JPEG or PNG), which is `serving_default` too.
        Both give `code` (uint8 `[n, ceil(bits / 8)]`), `code_bits` (0/1 uint8
        `[n, bits]`) and `code_bytes` (string `[n]`).

    Raises:
        RuntimeError: Keras does not run on TensorFlow.
        ValueError: the model takes features, not images, or is not solved.
    """
    arrays = stored_weights(model, compact_dtype)
    import tensorflow as tf

    from keras_hash.export import decoding

    stored = {
        name: tf.Variable(array, trainable=False, name=name)
        for name, array in arrays.items()
    }
    module = tf.Module()
    module.w, module.scale = (
        {name[-3:]: stored[name] for name in stored if name[:-3] == kind}
        for kind in ("w", "scale")
    )
    function = functools.partial(tf.function, autograph=False)
    size = list(model.image_shape[:2])
    one_byte = tf.constant([bytes([i]) for i in range(256)])

    @function(input_signature=[tf.TensorSpec((None, *size, 3))])
    def forward(images):
        real = graph_codes(model, images, stored)
        codes = codes_lib.pack(real)
        characters = tf.gather(one_byte, tf.cast(codes, tf.int32))
        return real, {
            "code": codes,
            "code_bits": tf.cast(real >= 0, tf.uint8),
            "code_bytes": tf.strings.reduce_join(characters, axis=-1),
        }

    of_images = [tf.TensorSpec((None, None, None, 3), name="image")]
    of_bytes = [tf.TensorSpec([None], tf.string, name="image_bytes")]

    @function(input_signature=of_images)
    def both(image):
        return forward(_fit(_checked(image), size))

    @function(input_signature=of_images)
    def encode(image):
        return both(image)[1]

    def inspect(numbered):
        return decoding.inspect(*numbered)

    def decode(known):
        image = decoding.decode(*known)
        return _fit(tf.cast(image, tf.float32)[None], size)[0]

    def over(function, parts, shape, dtype):
        return tf.map_fn(
            function,
            parts,
            parallel_iterations=4,
            fn_output_signature=tf.TensorSpec(shape, dtype),
        )

    @function(input_signature=of_bytes)
    def both_of_bytes(image_bytes):
        image_bytes = decoding.checked(image_bytes)
        numbered = tf.range(tf.size(image_bytes)), image_bytes
        found = over(inspect, numbered, [5], tf.int64)
        work = tf.reduce_sum(found[:, 0])
        found = decoding.require(
            work <= limits.MAX_WORK,
            ["`image_bytes` has too many pixels in all:", work],
            found,
        )
        parts = found, image_bytes
        return forward(over(decode, parts, (*size, 3), tf.float32))

    @function(input_signature=of_bytes)
    def encode_bytes(image_bytes):
        return both_of_bytes(image_bytes)[1]

    module.encode, module.encode_bytes = encode, encode_bytes
    # Real codes too, for what is made of the module here.
    module.both = {"image": both, "image_bytes": both_of_bytes}
    signatures = {
        "serving_default": encode_bytes,
        "encode_bytes": encode_bytes,
        "encode": encode,
    }
    return module, signatures


def _checked(images):
    """The images of a request, checked in the graph to be raw pixels."""
    import tensorflow as tf

    from keras_hash.export import decoding

    shape = tf.shape(images)
    images = decoding.require(
        tf.reduce_all(shape > 0),
        ["`image` is empty, its shape:", shape],
        images,
    )
    images = decoding.require(
        shape[0] <= decoding.MAX_IMAGES,
        [f"`image` should be at most {decoding.MAX_IMAGES} images:", shape[0]],
        images,
    )
    finite = tf.reduce_all(tf.math.is_finite(images), axis=[1, 2, 3])
    bad = tf.where(~finite)[:, 0]
    images = decoding.require(
        tf.size(bad) == 0,
        ["`image` should be finite; NaN or infinity in images:", bad],
        images,
    )
    low, high = tf.reduce_min(images), tf.reduce_max(images)
    whole = tf.reduce_all(images == tf.floor(images))
    for fault, meant in pixels.faults(low, high, whole):
        images = decoding.require(
            ~fault, [f"`image` {meant}. Values:", low, high], images
        )
    return images


def _fit(images, size):
    """Resizes a batch where its size differs, in the graph."""
    import tensorflow as tf

    same = tf.reduce_all(tf.shape(images)[1:3] == size)
    images = tf.cond(
        same,
        lambda: images,
        lambda: tf.image.resize(images, size, antialias=True),
    )
    return tf.ensure_shape(images, [None, *size, 3])


def save_encoder(model, folder, compact_dtype=None):
    """Writes a model as a SavedModel.

    Args:
        model: a `HashModel`, built.
        folder: where to write; should not exist yet.
        compact_dtype: see `encoder_module`.

    Raises:
        RuntimeError: Keras does not run on TensorFlow.
    """
    save(*encoder_module(model, compact_dtype), folder)


def restore(model, folder):
    """Sets the weights of a model to those of a SavedModel of its own kind."""
    tf = devices.tensorflow(
        "Loading an entry", "save the model as a `.keras` file elsewhere"
    )

    with files.plain(folder) as place:
        path = place / "variables" / "variables"
        reader = tf.train.load_checkpoint(str(path))
        arrays = {
            key: reader.get_tensor(key)
            for key in reader.get_variable_to_shape_map()
            if key.startswith(("w/", "scale/"))
        }
    stored_count = sum(key.startswith("w/") for key in arrays)
    if stored_count != len(model.encoder_variables):
        raise ValueError(
            f"{folder} holds {stored_count} weights, its model has "
            f"{len(model.encoder_variables)}: it was written by another "
            "version of keras_hash."
        )
    for index, variable in enumerate(model.encoder_variables):
        key = f"{index:03d}/.ATTRIBUTES/VARIABLE_VALUE"
        stored = arrays[f"w/{key}"]
        if stored.shape != tuple(variable.shape):
            raise ValueError(
                f"Weight {index} of {folder} does not fit the model's "
                f"{variable.path!r}. "
                f"Received: shape={stored.shape}, "
                f"expected: {tuple(variable.shape)}"
            )
        scale = arrays.get(f"scale/{key}")
        variable.assign(widen(stored, scale, variable.dtype))


def retrieval_model(encoder, codes, ids=None, k=10, real_codes=False):
    """A whole retrieval system: images in, ids and distances out.

    Args:
        encoder: a `HashModel`, built.
        codes: packed codes `uint8 [n, ceil(bits / 8)]` of the database.
        ids: int or str `[n]`; positions by default.
        k: int, items a query.
        real_codes: bool, whether the real codes of the images that are searched
            for order the nearest items, as in `keras_hash.Index.search`;
            distances are still Hamming's, and `search_codes` keeps their order.

    Returns:
        A pair, for `save`: a `tf.Module`, and its signatures: `search`, which
        is `serving_default` too, from `image_bytes` (string `[n]`),
        `search_arrays` from `image` (float32 `[n, h, w, 3]`) and
        `search_codes` from `code` (uint8), each to `distances` (int32
        `[n, k]`) and `ids` (int64 or string `[n, k]`); and those of
        `encoder_module`.

    Raises:
        RuntimeError: Keras does not run on TensorFlow.
        ValueError: as `search.HammingSearch`, or `real_codes` of a method whose
            magnitudes say nothing.
    """
    import tensorflow as tf

    from keras_hash.export import decoding
    from keras_hash.search import HammingSearch

    if real_codes and not encoder.magnitudes:
        raise ValueError(
            f"The magnitudes of {type(encoder).__name__}'s real codes order "
            "nothing: leave `real_codes` out. Received: real_codes=True"
        )
    module, signatures = encoder_module(encoder)
    layer = HammingSearch(
        codes, encoder.bits, ids, k, similarity=encoder.similarity
    )
    # The layer itself would bring Keras' own functions along.
    module.search_words, module.search_ids = layer.words, layer.ids

    def found(codes, real=None):
        distances, ids = layer(codes, real if real_codes else None)
        return {"distances": distances, "ids": ids}

    function = functools.partial(tf.function, autograph=False)
    width = codes_lib.num_bytes(encoder.bits)
    height_width = [None, None, None, 3]

    @function(
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")]
    )
    def search(image_bytes):
        real, shown = module.both["image_bytes"](image_bytes)
        return found(shown["code"], real)

    @function(input_signature=[tf.TensorSpec(height_width, name="image")])
    def search_arrays(image):
        real, shown = module.both["image"](image)
        return found(shown["code"], real)

    @function(
        input_signature=[tf.TensorSpec([None, width], tf.uint8, name="code")]
    )
    def search_codes(code):
        # A signature that was loaded takes other shapes than it declares.
        shape = tf.shape(code)
        words = [f"`code` should be [n, {width}], {encoder.bits} bits:", shape]
        fits = tf.size(code) == shape[0] * width
        code = decoding.require(fits, words, code)
        count, most = shape[0], decoding.MAX_IMAGES
        code = decoding.require(
            count <= most,
            [f"`code` should be at most {most} codes:", count],
            code,
        )
        behind = (1 << -encoder.bits % 8) - 1
        bad = tf.where(tf.bitwise.bitwise_and(code[:, -1], behind) > 0)[:, 0]
        code = decoding.require(
            tf.size(bad) == 0,
            [f"`code` should be 0 behind {encoder.bits} bits; rows:", bad],
            code,
        )
        return found(code)

    module.search = search
    module.search_arrays, module.search_codes = search_arrays, search_codes
    return module, {
        **signatures,
        "serving_default": search,
        "search": search,
        "search_arrays": search_arrays,
        "search_codes": search_codes,
    }


def save(module, signatures, folder):
    """Writes a module as a SavedModel, without what only debuggers read.

    With it go the requests that warm a server up, see `warm_up`.

    Args:
        module: a `tf.Module`.
        signatures: dict from name to `tf.function`.
        folder: where to write; should not exist yet. It is whole or absent.

    Raises:
        ValueError: there is something in `folder`.
    """
    import tensorflow as tf

    from keras_hash.export import slimming
    from keras_hash.export import warm_up

    # Encoding needs no gradient: the functions of custom ones are left out.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    folder = files.local(folder)
    if not folder.is_dir() or any(folder.iterdir()):
        files.check_new(folder, "folder")
    with files.beside(folder) as new:
        new.mkdir()
        with files.plain(new) as place:
            tf.saved_model.save(module, str(place), signatures, options)
        path = new / "saved_model.pb"
        path.write_bytes(slimming.slim(path.read_bytes()))
        warm_up.warm_up(new)
        # Written for debuggers and asset files: nothing reads them here.
        shutil.rmtree(new / "assets", ignore_errors=True)
        (new / "fingerprint.pb").unlink(missing_ok=True)

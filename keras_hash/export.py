"""Encoders as SavedModels that TensorFlow Serving loads as they are.

The graph holds the preprocessing, the network and the packing. Weights are
stored compactly, once, and widened in the graph; the Keras model is built back
from the same file (`keras_hash.load`).
"""

import pathlib

import keras
import numpy as np

from keras_hash import files
from keras_hash import serving

# A decoded image takes 12 bytes a pixel before it is resized: 384 MiB at most.
MAX_PIXELS = 1 << 25
# A progressive JPEG is decoded once for each scan that it claims to have; about
# ten are usual. Smaller images may have more of them.
MAX_SCANS = 16
_SHORTEST_HEADER = 26
# Attributes of nodes inside functions that no loader reads.
_UNREAD = (
    "_class",
    "_gradient_op_type",
    "_has_manual_control_dependencies",
    "_output_shapes",
)
_LONGEST_FRAME = 1 << 24
# Where EXIF is looked for in a JPEG, and how much of it is read.
_EXIF_WITHIN = 1 << 16
_EXIF_LENGTH = 1 << 12
_EXIF_ENTRIES = 64
_EXIF_ORIENTATION = 0x0112


def compact(value, dtype):
    """Stores a weight in fewer bytes.

    Args:
        value: array.
        dtype: `"float16"`, or `"int8"`: one scale for each output channel (the
            last axis; of depthwise kernels `[h, w, channels, 1]` the one
            before). Vectors stay float32, whole numbers are kept exactly.

    Returns:
        A pair: the stored array, and float32 scales that broadcast against it,
        or `None`.

    Raises:
        ValueError: another dtype, or a weight that is not finite.
    """
    if dtype not in ("float16", "int8"):
        raise ValueError(
            "`compact` should be 'float16' or 'int8'. "
            f"Received: compact={dtype!r}"
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
        fits = largest < np.finfo("float16").max
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

    Args:
        stored: array from `compact`.
        scale: its scales or `None`.
        dtype: str, dtype of the weight.

    Returns:
        An array of that dtype.
    """
    wide = stored.astype(dtype)
    return wide if scale is None else wide * scale


def stored_weights(model, compact_dtype=None):
    """The weights of a model as an export keeps them.

    Args:
        model: a `HashModel`, built.
        compact_dtype: see `encoder_module`.

    Returns:
        A pair of dicts: `{"000": array, ...}` in the order of
        `model.encoder_variables`, and the float32 scales of those in int8.

    Raises:
        RuntimeError: Keras does not run on TensorFlow.
        ValueError: the model takes features, not images, or is not solved.
    """
    if len(model.image_shape) != 3:
        raise ValueError(
            "Models of images are exported; build the model on a backbone to "
            "export what was trained on its features. "
            f"Received: input_shape={model.image_shape}"
        )
    model.check_ready()
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Models are exported with Keras on TensorFlow; start Python "
            "with KERAS_BACKEND=tensorflow. "
            f"Received: backend={keras.backend.backend()!r}"
        )
    weights, scales = {}, {}
    for index, variable in enumerate(model.encoder_variables):
        stored, scale = compact(
            keras.ops.convert_to_numpy(variable.value),
            compact_dtype or model.stored_as,
        )
        weights[f"{index:03d}"] = stored
        if scale is not None:
            scales[f"{index:03d}"] = scale
    return weights, scales


def graph_codes(model, images, weights, scales):
    """Real codes inside a graph, from weights as an export keeps them.

    Args:
        model: a `HashModel`, built.
        images: float32 tensor `[n, *image_shape]`, raw pixels.
        weights: dict from `"000"` ... to tensors, see `stored_weights`.
        scales: dict from the same keys to tensors.

    Returns:
        float32 tensor `[n, bits]`; `>= 0` is the bit 1.
    """
    import tensorflow as tf

    widened = []
    for index, variable in enumerate(model.encoder_variables):
        key = f"{index:03d}"
        value = tf.cast(weights[key], variable.dtype)
        if key in scales:
            value = value * scales[key]
        widened.append((variable, value))
    with keras.StatelessScope(state_mapping=widened):
        return model.images_to_codes(images)


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
        string `[n]`: JPEG, PNG, GIF or BMP), which is `serving_default` too.
        Both give `code` (uint8 `[n, ceil(bits / 8)]`), `code_bits` (0/1 uint8
        `[n, bits]`) and `code_bytes` (string `[n]`).

    Raises:
        RuntimeError: Keras does not run on TensorFlow.
        ValueError: the model takes features, not images, or is not solved.
    """
    weights, scales = stored_weights(model, compact_dtype)
    import tensorflow as tf

    from keras_hash import codes as codes_lib

    module = tf.Module()
    module.w, module.scale = (
        {
            key: tf.Variable(array, trainable=False, name=f"{kind}{key}")
            for key, array in arrays.items()
        }
        for kind, arrays in (("w", weights), ("scale", scales))
    )
    height, width = model.image_shape[:2]
    one_byte = tf.constant([bytes([i]) for i in range(256)])

    def fit(images):
        """Resizes a batch where its size differs."""
        shape = tf.shape(images)
        same = tf.reduce_all(shape[1:3] == [height, width])
        images = tf.cond(
            same,
            lambda: images,
            lambda: tf.image.resize(images, [height, width], antialias=True),
        )
        return tf.ensure_shape(images, [None, height, width, 3])

    @tf.function(input_signature=[tf.TensorSpec((None, height, width, 3))])
    def forward(images):
        real = graph_codes(model, images, module.w, module.scale)
        codes = codes_lib.pack(real)
        characters = tf.gather(one_byte, tf.cast(codes, tf.int32))
        return {
            "code": codes,
            "code_bits": tf.cast(real >= 0, tf.uint8),
            "code_bytes": tf.strings.reduce_join(characters, axis=-1),
        }

    def checked(images):
        shape = tf.shape(images)
        images = _require(
            tf.reduce_all(shape > 0),
            ["`image` is empty, its shape:", shape],
            images,
        )
        finite = tf.reduce_all(tf.math.is_finite(images), axis=[1, 2, 3])
        bad = tf.where(~finite)[:, 0]
        return _require(
            tf.size(bad) == 0,
            ["`image` should be finite; NaN or infinity in images:", bad],
            images,
        )

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), name="image")]
    )
    def encode(image):
        return forward(fit(checked(image)))

    def decode(indexed):
        index, content = indexed
        content = _guarded(index, content)
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        image = _upright(image, content)
        return fit(tf.cast(image, tf.float32)[None])[0]

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")]
    )
    def encode_bytes(image_bytes):
        count = tf.size(image_bytes)
        image_bytes = _require(
            count > 0,
            ["`image_bytes` is empty: there is nothing to encode."],
            image_bytes,
        )
        images = tf.map_fn(
            decode,
            (tf.range(count), image_bytes),
            parallel_iterations=4,
            fn_output_signature=tf.TensorSpec((height, width, 3), tf.float32),
        )
        return forward(images)

    module.encode, module.encode_bytes = encode, encode_bytes
    signatures = {
        "serving_default": encode_bytes,
        "encode_bytes": encode_bytes,
        "encode": encode,
    }
    return module, signatures


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


def retrieval_model(encoder, codes, ids=None, k=10):
    """A whole retrieval system: images in, ids and distances out.

    Args:
        encoder: a `HashModel`, built.
        codes: packed codes `uint8 [n, ceil(bits / 8)]` of the database.
        ids: int or str `[n]`; positions by default.
        k: int, items a query.

    Returns:
        A pair, for `save`: a `tf.Module`, and its signatures: `search`, which
        is `serving_default` too, from `image_bytes` (string `[n]`),
        `search_arrays` from `image` (float32 `[n, h, w, 3]`) and
        `search_codes` from `code` (uint8), each to `distances` (int32
        `[n, k]`) and `ids` (int64 or string `[n, k]`); and those of
        `encoder_module`.

    Raises:
        RuntimeError: Keras does not run on TensorFlow.
        ValueError: as `search.HammingSearch`.
    """
    import tensorflow as tf

    from keras_hash import codes as codes_lib
    from keras_hash.search import HammingSearch

    module, signatures = encoder_module(encoder)
    layer = HammingSearch(
        codes, encoder.bits, ids, k, similarity=encoder.similarity
    )
    # The layer itself would bring Keras' own functions along.
    module.search_words, module.search_ids = layer.words, layer.ids

    def found(codes):
        distances, ids = layer(codes)
        return {"distances": distances, "ids": ids}

    width = codes_lib.num_bytes(encoder.bits)
    height_width = [None, None, None, 3]

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")]
    )
    def search(image_bytes):
        return found(module.encode_bytes(image_bytes)["code"])

    @tf.function(input_signature=[tf.TensorSpec(height_width, name="image")])
    def search_arrays(image):
        return found(module.encode(image)["code"])

    @tf.function(
        input_signature=[tf.TensorSpec([None, width], tf.uint8, name="code")]
    )
    def search_codes(code):
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

    With it go the requests that warm a server up, see `serving.warm_up`.

    Args:
        module: a `tf.Module`.
        signatures: dict from name to `tf.function`.
        folder: where to write; should not exist yet.
    """
    import tensorflow as tf

    # Encoding needs no gradient: the functions of custom ones are left out.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures, options)
    path = pathlib.Path(folder) / "saved_model.pb"
    files.write(path, slim(path.read_bytes()))
    serving.warm_up(folder)


def slim(content):
    """Makes a serialised SavedModel graph smaller, with the same results.

    Drops what only writers and debuggers read: nodes and functions that nothing
    leads to (such as what would save the variables again), the second of two
    equal functions, the annotated output shapes (the loaders infer them) and
    the long scope names inside functions. A graph shrinks to less than
    half its size.

    Args:
        content: bytes of a `saved_model.pb`.

    Returns:
        bytes.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(content)
    for meta in saved.meta_graphs:
        saver = meta.saver_def
        # Nothing restores by this name; it only has to exist.
        saver.save_tensor_name = saver.filename_tensor_name
        for function in meta.graph_def.library.function:
            _restore_directly(function)
            _shorten(function)
        _prune(meta)
        _merge(meta)
    return saved.SerializeToString(deterministic=True)


def _prune(meta):
    """Removes nodes and functions that no loader can reach."""
    graph, saver = meta.graph_def, meta.saver_def
    nodes = {node.name: node for node in graph.node}
    wanted = [saver.filename_tensor_name, saver.restore_op_name]
    for collection in meta.collection_def.values():
        wanted += collection.node_list.value
    for signature in meta.signature_def.values():
        for tensors in (signature.inputs, signature.outputs):
            wanted += [tensor.name for tensor in tensors.values()]
    kept = _reached(
        [name.split(":")[0] for name in wanted],
        lambda name: [
            reference.removeprefix("^").split(":")[0]
            for reference in nodes[name].input
        ],
    )
    _keep(graph.node, lambda node: node.name in kept)
    for node in graph.node:
        node.attr.pop("_output_shapes", None)
        node.attr.pop("debug_name", None)

    functions = {f.signature.name: f for f in graph.library.function}
    objects = meta.object_graph_def
    kept = _reached(
        [*objects.concrete_functions, *_functions(graph.node)],
        lambda name: _functions(functions[name].node_def),
    )
    _keep(graph.library.function, lambda f: f.signature.name in kept)


def _merge(meta):
    """Keeps one of functions that are equal: signatures may have one body."""
    library, objects = meta.graph_def.library, meta.object_graph_def
    first, same = {}, {}
    for function in library.function:
        name = function.signature.name
        function.signature.name = ""
        body = function.SerializeToString(deterministic=True)
        function.signature.name = name
        # With its weights, where it has any of its own.
        bound = objects.concrete_functions.get(name)
        bound = tuple(bound.bound_inputs) if bound else None
        kept = first.setdefault((body, bound), name)
        if kept != name:
            same[name] = kept
    _keep(library.function, lambda f: f.signature.name not in same)
    for name in same:
        objects.concrete_functions.pop(name, None)
    for node in objects.nodes:
        if node.WhichOneof("kind") == "bare_concrete_function":
            bare = node.bare_concrete_function
            name = bare.concrete_function_name
            bare.concrete_function_name = same.get(name, name)
    for nodes in (meta.graph_def.node, *(f.node_def for f in library.function)):
        for node in nodes:
            for value in node.attr.values():
                for called in (value.func, *value.list.func):
                    if called.name in same:
                        called.name = same[called.name]


def _restore_directly(function):
    """Assigns what is read from a checkpoint without a copy in between."""
    nodes = function.node_def
    read = {node.name for node in nodes if node.op == "RestoreV2"}
    needed = {value.partition(":")[0] for value in function.ret.values()}
    needed |= {i.removeprefix("^") for node in nodes for i in node.input}
    copied = {
        node.name: node.input[0]
        for node in nodes
        if node.op == "Identity"
        and node.name not in needed
        and [i.partition(":")[0] in read for i in node.input] == [True]
    }
    _keep(nodes, lambda node: node.name not in copied)
    for node in nodes:
        for index, reference in enumerate(node.input):
            name = reference.partition(":")[0]
            node.input[index] = copied.get(name, reference)


def _reached(start, following):
    """All names that a function from a name to further names leads to."""
    reached, waiting = set(), list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += following(name)
    return reached


def _functions(nodes):
    """The functions that nodes call."""
    return [
        called.name
        for node in nodes
        for value in node.attr.values()
        for called in (value.func, *value.list.func)
        if called.name
    ]


def _keep(messages, wanted):
    """Drops from a repeated field what is not wanted."""
    kept = [message for message in messages if wanted(message)]
    del messages[:]
    messages.extend(kept)


def _shorten(function):
    """Numbers the nodes of a function, and the weights that it is given."""
    from tensorflow.core.framework import types_pb2

    signature = function.signature
    arguments = signature.input_arg
    taken = {a.name for a in arguments if a.type != types_pb2.DT_RESOURCE}
    short = {}

    def number(names, letter):
        for index, name in enumerate(names):
            new = f"{letter}{index}"
            while new in taken:
                new += "_"
            short[name] = new

    # What a caller names stays: weights are passed by position.
    weights = [i for i, a in enumerate(arguments) if a.name not in taken]
    number([arguments[index].name for index in weights], "w")
    number([node.name for node in function.node_def], "n")
    for index in weights:
        arguments[index].name = short[arguments[index].name]
    for index, argument in list(function.arg_attr.items()):
        argument.attr.pop("_output_shapes", None)
        # Constants that are passed along are called by a running number.
        named = argument.attr.get("_user_specified_name")
        if index in weights or (named and named.s.isdigit()):
            argument.attr.pop("_user_specified_name", None)
        if not argument.attr:
            del function.arg_attr[index]

    def renamed(reference):
        control = "^" if reference.startswith("^") else ""
        name, colon, output = reference.removeprefix("^").partition(":")
        return control + short.get(name, name) + colon + output

    for node in function.node_def:
        node.name = short[node.name]
        node.input[:] = [renamed(reference) for reference in node.input]
        for unread in _UNREAD:
            node.attr.pop(unread, None)
        node.ClearField("experimental_debug_info")
    for key in list(function.ret):
        function.ret[key] = renamed(function.ret[key])
    # What a call waits for has a name of its own: that of the node will do.
    awaited = sorted(short[name] for name in function.control_ret.values())
    function.control_ret.clear()
    function.control_ret.update({name: name for name in awaited})
    signature.control_output[:] = awaited


def _guarded(index, content):
    """The content, once its header shows a known format and a bounded size.

    What decodes has to take the returned tensor: it waits for the checks.
    """
    import tensorflow as tf

    def starts(magic):
        return tf.strings.substr(content, 0, len(magic)) == magic

    is_jpeg = starts(b"\xff\xd8\xff")
    is_png = starts(b"\x89PNG\r\n\x1a\n")
    is_gif = starts(b"GIF8")
    known = is_jpeg | is_png | is_gif | starts(b"BM")
    whole = tf.strings.length(content) >= _SHORTEST_HEADER
    content = _require(
        known & whole,
        ["Not a JPEG, PNG, GIF or BMP image: `image_bytes` element", index],
        content,
    )
    # Where each format keeps height and width, as weights of header bytes:
    # PNG big-endian at 20 and 16, GIF at 8 and 6, BMP at 22 and 18.
    places = np.zeros((6, _SHORTEST_HEADER), "int64")
    for row, (start, count) in enumerate(
        [(20, 4), (16, 4), (8, 2), (6, 2), (22, 4), (18, 4)]
    ):
        powers = 256 ** np.arange(count)
        places[row, start : start + count] = powers[::-1] if row < 2 else powers
    header = tf.strings.substr(content, 0, _SHORTEST_HEADER)
    header = tf.io.decode_raw(header, "uint8", fixed_length=_SHORTEST_HEADER)
    sides = tf.reduce_sum(places * tf.cast(header, tf.int64), axis=1)
    # The height of a BMP is negative when its rows run downwards.
    bmp = tf.minimum(sides[4:], 2**32 - sides[4:])
    sides = tf.where(is_png, sides[:2], tf.where(is_gif, sides[2:4], bmp))
    one = tf.constant(1, tf.int64)
    content, sides = tf.cond(
        is_gif, lambda: _first_frame(content, sides), lambda: (content, sides)
    )
    sides, scans = tf.cond(
        is_jpeg, lambda: _jpeg_sides(content), lambda: (sides, one)
    )
    # Both first: the product of two sides below 2**25 cannot wrap.
    small = tf.reduce_all(sides <= MAX_PIXELS)
    pixels = tf.reduce_prod(sides)
    content = _require(
        small & (pixels <= MAX_PIXELS),
        [
            f"Image above {MAX_PIXELS} pixels: `image_bytes` element",
            index,
            "height and width:",
            sides,
        ],
        content,
    )
    return _require(
        pixels * scans <= MAX_PIXELS * MAX_SCANS,
        ["JPEG of too many scans: `image_bytes` element", index, scans],
        content,
    )


def _jpeg_sides(content):
    """Height and width of a JPEG, and its number of scans or somewhat more.

    In coded data a zero follows each 255, so that the marker of a scan occurs
    nowhere else but in metadata.
    """
    import tensorflow as tf

    data = tf.io.decode_raw(content, tf.uint8)
    scans = (data[:-1] == 0xFF) & (data[1:] == 0xDA)
    sides = tf.image.extract_jpeg_shape(content, tf.int64)[:2]
    return sides, tf.math.count_nonzero(scans)


def _first_frame(content, sides):
    """A GIF up to its second frame, and its largest sides.

    The decoder would read all frames and take the largest sides among them,
    whatever the header says.
    """
    import tensorflow as tf

    # Following the blocks takes about 40 bytes for each.
    content = tf.strings.substr(content, 0, _LONGEST_FRAME)
    length = tf.strings.length(content)
    # Zeros behind the end, further than a block reaches, stop every chain.
    data = tf.pad(tf.io.decode_raw(content, tf.uint8), [[0, 1024]])
    data = tf.cast(data, tf.int32)
    size = length + 1024
    here = tf.range(size)
    # Each place leads to another, once as the start of a block and, `size`
    # later, as a piece of data. An extension is 0x21, its kind and data. Data
    # come in pieces that say how long they are; a block follows an empty one.
    block = tf.where(data == 0x21, here + 2 + size, here)
    piece = tf.minimum(here + 1 + data, size - 1)
    piece += tf.where(data > 0, size, 0)

    # Doubling finds where all chains end, and no content makes it slow.
    def twice(steps, _):
        further = tf.gather(steps, steps)
        return further, tf.reduce_any(further != steps)

    ends, _ = tf.while_loop(
        lambda _, more: more, twice, (tf.concat([block, piece], 0), True)
    )

    def table(flags):
        """Bytes of a colour table."""
        bits = tf.where(flags > 127, 6, 0)
        return tf.bitwise.left_shift(bits, tf.bitwise.bitwise_and(flags, 7))

    start = 13 + table(tf.gather(data, 10))
    first = tf.minimum(tf.gather(ends, start), length)
    # A frame is 0x2C, left, top, width and height in two bytes each, flags,
    # colours, a byte on the coding, and data.
    places = np.zeros((4, 10), "int32")
    places[0, 7:9] = places[1, 5:7] = 1, 256
    places[2, 0] = places[3, 9] = 1
    frame = places * tf.slice(data, [first], [10])
    height, width, kind, flags = tf.unstack(tf.reduce_sum(frame, axis=1))
    behind = tf.minimum(first + 11 + table(flags), length)
    height, width, end = tf.unstack(
        tf.where(
            kind == 0x2C,
            [height, width, tf.gather(ends, size + behind)],
            [0, 0, first],
        )
    )
    cut = tf.strings.substr(content, 0, tf.minimum(end, length)) + b";"
    frame = tf.cast([height, width], tf.int64)
    return cut, tf.maximum(sides, frame)


def _upright(image, content):
    """The image, turned as the EXIF orientation of a JPEG says."""
    import tensorflow as tf

    # A JPEG keeps EXIF near its start, as a small TIFF file: a byte order, the
    # place of a table, and there a count and entries of 12 bytes each.
    is_jpeg = tf.strings.substr(content, 0, 2) == b"\xff\xd8"
    start = tf.strings.substr(content, 0, tf.where(is_jpeg, _EXIF_WITHIN, 0))
    parts = tf.raw_ops.StringSplitV2(
        input=[start], sep=b"Exif\0\0", maxsplit=1
    ).values
    exif = tf.concat([parts, ["", ""]], 0)[1]
    data = tf.io.decode_raw(exif, tf.uint8, fixed_length=_EXIF_LENGTH)
    # Zeros are what lies beyond: neither a tag nor an orientation.
    data = tf.pad(tf.cast(data, tf.int32), [[0, 16 * _EXIF_ENTRIES]])
    # The 16-bit number at each place.
    following = tf.roll(data, -1, 0)
    little = tf.strings.substr(exif, 0, 1) == b"I"
    numbers = tf.where(little, data + 256 * following, 256 * data + following)
    place = tf.gather(numbers, tf.where(little, 4, 6))
    place = tf.minimum(place, _EXIF_LENGTH)
    order = tf.range(_EXIF_ENTRIES)
    entries = place + 2 + 12 * order
    values = tf.gather(numbers, entries + 8)
    wanted = (
        (order < tf.gather(numbers, place))
        & (tf.gather(numbers, entries) == _EXIF_ORIENTATION)
        & (values <= 8)
    )
    turn = tf.reduce_max(tf.where(wanted, values, 0))
    # From the fifth on rows and columns change places; then the order of the
    # rows, or of the columns, is turned round.
    axes = np.array([[0, 1, 2]] * 5 + [[1, 0, 2]] * 4)
    steps = np.ones((9, 3), "int32")
    steps[[3, 4, 7, 8], 0] = -1
    steps[[2, 3, 6, 7], 1] = -1
    image = tf.strided_slice(
        tf.transpose(image, tf.gather(axes, turn)),
        [0, 0, 0],
        [0, 0, 0],
        tf.gather(steps, turn),
        begin_mask=7,
        end_mask=7,
    )
    return tf.ensure_shape(image, [None, None, 3])


def _require(condition, message, value):
    """The value, or an invalid-argument error unless the condition holds."""
    import tensorflow as tf

    # The bare operation: `tf.debugging.Assert` adds two functions to the
    # saved graph for each check.
    check = tf.raw_ops.Assert(
        condition=condition,
        data=[tf.convert_to_tensor(part) for part in message],
        summarize=8,
    )
    # In a graph it is an operation to wait for; run eagerly it has raised.
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(value)

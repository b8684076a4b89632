"""`HashModel`: what all methods share, from raw pixels to packed codes."""

import copy

import keras
import numpy as np
from keras import ops

from keras_hash import backbones
from keras_hash import codes
from keras_hash import devices
from keras_hash import files
from keras_hash import forks
from keras_hash import heads
from keras_hash.data import images as pixels
from keras_hash.methods import _bank
from keras_hash.methods import _encoding
from keras_hash.methods import _keywords
from keras_hash.methods import _nested
from keras_hash.methods import _views


class HashModel(_encoding.Encoding):
    """A backbone with a hash head: an ordinary Keras model that makes codes.

    A method sets `loss_class`, whose constants are keywords of the model too.
    Its head is one layer with `activation`, unless it defines `add_head`;
    where its outputs are not the real codes themselves, it defines
    `outputs_to_codes`. A constructor of its own ends with `self.finish()`.

    Args:
        bits: int, code length, at least 1.
        num_classes: int, number of classes or labels, at least 2. Methods
            without supervision need none.
        *constants: those of the method, in the order of its signature; by
            keyword as well.
        backbone: `"small"`, `"cifar"`, a `keras.applications` name in snake
            case, `"efficientnet_lite0"` or `"efficientnet_lite2"`, an entry of
            the zoo, whose trained backbone it starts from (`"photos_256"`), a
            `keras.Model` from raw images to features, or `"features"`: the
            inputs are feature vectors already. Networks of
            `keras.applications` and EfficientNet-Lite may be cut behind one of
            their layers (`"mobilenet_v2/block_13_expand_relu"`), for a smaller
            encoder; what that layer gives is averaged over the image.
        input_shape: image shape `(h, w, 3)`; that of the entry by default, and
            `(32, 32, 3)`. Images of another size are resized inside the
            model, bilinear with antialias. `(d,)` for `"features"`.
        backbone_weights: for `keras.applications`: `None`, `"imagenet"`
            (downloads), or the path of a weights file of the network without
            its top; for EfficientNet-Lite such a path.
        bank_size: int, for losses that compare pairs: the number of training
            images, whose latest codes are kept, and compared with each batch.
            Batches need the sample index, see `keras_hash.data.batches`.
            `None`, the default, compares the images of a batch.
        hidden: int, width of a fully connected layer (with dropout) between
            the backbone and the hash layer, the "fc7" of many papers. `None`,
            the default, for none.
        nested: tuple of int, shorter lengths at which the first bits should be
            good codes too, such as `(16, 32, 48)` of 64 bits: rising multiples
            of 8 below `bits`. The loss is then the mean over all lengths.
            `None`, the default, for none.
        nested_weights: the weight of each length in that mean, that of all
            bits last; equal by default.
        mirrors: bool, whether an image and its mirror image mean the same. Say
            `False` for digits and text: nothing is mirrored then.
        name: str, name of the model.
        dtype: as in `keras.Model`, for the backbone too where it is named.
        trainable: bool, as in `keras.Model`.

    Raises:
        ValueError: an argument makes no sense, the backbone is unknown, or
            `bank_size` is given to a method that cannot use it.
        TypeError: the method has no such keyword.
    """

    # How the codes are compared: `"hamming"` or `"and"`.
    similarity = "hamming"
    # The loss that the method trains with; a subclass of `_losses.CodeLoss`.
    loss_class = None
    # Of the hash layer, where the method has no other head.
    activation = None
    # Whether the method needs labels; where it has a loss, that says so.
    supervised = True
    # Whether it is trained by gradient: `compile` and `fit`.
    trained = True
    # Whether `adapt` stores what is known of the pairs of all training images.
    stores_pairs = False
    # Whether it works only with a bank of all training images.
    needs_bank = False
    # What keeps the latest codes of all images.
    bank_class = _bank.MemoryBank
    # Whether the first bits of its codes can be codes too.
    nests = True
    # Whether magnitudes of its real codes say how sure a bit is: a search can
    # order by those of a query.
    magnitudes = True
    # How its authors change training photos: `"flip"`, `"shift"`, `"crop"`.
    augmentation = ("flip", "shift")
    keywords = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _keywords.register(cls)
        of_loss = {}
        if cls.loss_class is not None:
            of_loss = cls.loss_class.keywords
            cls.supervised = cls.loss_class.supervised
        cls.keywords = {**of_loss, **_keywords.taken(cls, "add_head")}
        cls.keywords.pop("num_classes", None)
        required = ("num_classes",) if cls.supervised else ()
        _keywords.show(cls, HashModel, required)

    def __init__(
        self,
        bits,
        num_classes=None,
        *constants,
        backbone="small",
        input_shape=None,
        backbone_weights=None,
        bank_size=None,
        hidden=None,
        nested=None,
        nested_weights=None,
        mirrors=True,
        name=None,
        dtype=None,
        trainable=True,
        **named,
    ):
        forks.check()
        devices.check()
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        # An attribute of the class would hide the layer on PyTorch.
        self.head = None
        # Constants of the method.
        self.settings = _keywords.bind(self, constants, named)
        codes.num_bytes(bits)
        if num_classes is not None or self.supervised:
            num_classes = codes.check_int(num_classes, "num_classes", 2)
        self.bits, self.num_classes = int(bits), num_classes
        if nested is not None and np.size(nested) and not self.nests:
            raise ValueError(
                f"The first bits of a code of {type(self).__name__} are no "
                f"code: leave `nested` out. Received: nested={nested}"
            )
        self.nested = _nested.check_lengths(nested, bits, type(self).__name__)
        self._nested_weights = nested_weights
        _nested.check_weights(nested_weights, self.lengths)
        trunk = _trunk_of_entry(backbone, backbone_weights)
        if trunk is not None:
            backbone = trunk._backbone_name
            input_shape = input_shape or trunk.image_shape
        if input_shape is None:
            input_shape = (32, 32, 3)
        self.image_shape = tuple(
            codes.check_int(side, f"input_shape[{axis}]")
            for axis, side in enumerate(input_shape)
        )
        self._backbone_name = backbone
        self.mirrors = bool(mirrors)
        self.hidden = None
        with backbones.policy(self.dtype_policy):
            self.backbone = backbones.build(
                backbone, self.image_shape, backbone_weights
            )
            if trunk is not None:
                self.backbone.set_weights(trunk.backbone.get_weights())
            if hidden is not None:
                self.hidden = heads.Hidden(codes.check_int(hidden, "hidden"))
        self.bank = self._make_bank(bank_size)
        self.code_accuracy = _bank.CodeAccuracy()
        self._method_loss = None
        # That of the labels which compiled steps were made for.
        self._label_rank = None
        self._method_metric = False
        self._backbone_rate = 1.0
        # How its weights are kept when it is exported.
        self.stored_as = "float16"
        self._graphs = {}
        # What computes codes: Keras, or a runtime by its engine.
        self.runtime, self._engine = "keras", None
        # XLA makes convolutions slower on CPU, and the codes of near-tied
        # outputs would differ from those of the exported graph.
        self.jit_compile = keras.backend.backend() == "jax"
        if type(self).__init__ is HashModel.__init__:
            self.finish()

    def _make_bank(self, size):
        if size is None:
            return None
        if not getattr(self.loss_class, "takes_bank", False):
            raise ValueError(
                f"{type(self).__name__} cannot compare a batch with a memory "
                f"bank of all images. Received: bank_size={size}"
            )
        make = self.bank_class
        return make(size, self.bits, self.num_classes, name="bank")

    def add_head(self):
        """Sets `self.head`, from features to what the loss takes.

        Its parameters with a default are keywords of the model.
        """
        self.head = heads.dense(self.bits, self.activation)

    def finish(self):
        """Adds the head and builds the model."""
        if self.head is None:
            with backbones.policy(self.dtype_policy):
                self.add_head(**_keywords.fitting(self.add_head, self.settings))
        self.build((None, *self.image_shape))

    @classmethod
    def from_encoder(cls, encoder, num_classes=None, bits=None, **settings):
        """A new model of this method on the trained backbone of another.

        The hash layer is new: train it on your own images, with a smaller
        rate for the backbone (`compile(backbone_rate=0.1)`), or with a frozen
        one: `model.backbone.trainable = False` before `compile` keeps its
        batch statistics too, which a rate of 0 does not.

        Args:
            encoder: a `HashModel`, such as a loaded zoo entry. Its backbone is
                copied, so it stays as it is.
            num_classes: int, your number of classes or labels.
            bits: int, code length; that of the encoder by default.
            **settings: other arguments of the method.

        Returns:
            A model of the class it is called on.

        Raises:
            ValueError: as the constructor.

        Example:

        >>> encoder = keras_hash.load("dshc_cifar10_30")
        >>> model = keras_hash.models.DPSH.from_encoder(encoder, 5, bits=48)
        """
        config = encoder.get_config()
        model = cls.from_config(
            {
                "bits": encoder.bits if bits is None else bits,
                "num_classes": num_classes,
                "backbone": config["backbone"],
                "input_shape": config["input_shape"],
                **settings,
            }
        )
        model.backbone.set_weights(encoder.backbone.get_weights())
        return model

    def head_model(self):
        """What follows the backbone, as a model of its own.

        It takes features in place of images and has copies of the weights: a
        frozen backbone sees each image once (`features`), the head trains on
        that in seconds, and `take_head` brings back what it learned.

        Returns:
            A model of the same class, not compiled.

        Example:

        >>> model = keras_hash.models.CSQ(64, 5, backbone="photos_256")
        >>> head = model.head_model()
        >>> head.compile("adam")
        >>> head.fit(model.features(images), labels, epochs=20)
        >>> model.take_head(head)
        """
        width = self.backbone.output_shape[-1]
        config = {**self.get_config(), "backbone": "features"}
        head = type(self).from_config({**config, "input_shape": (width,)})
        _copy(self._behind_backbone(), head._behind_backbone())
        return head

    def take_head(self, head):
        """Takes the weights of all that follows the backbone.

        Args:
            head: what `head_model` returned, trained.

        Raises:
            ValueError: another model.
        """
        self._check_runtime()
        _copy(head._behind_backbone(), self._behind_backbone())

    def _behind_backbone(self):
        of_backbone = {id(v) for v in self.backbone.variables}
        return [v for v in self.variables if id(v) not in of_backbone]

    def build(self, input_shape):
        if self.head is None:
            # A constructor of its own that did not end with it.
            return self.finish()
        if not self.backbone.built:
            self.backbone.build((None, *self.image_shape))
        width = self.backbone.output_shape[-1]
        if self.hidden is not None:
            if not self.hidden.built:
                self.hidden.build((None, width))
            width = self.hidden.dense.units
        if not self.head.built:
            self.head.build((None, width))
        self.built = True

    def call(self, images, training=None):
        """From raw images to what the loss takes: outputs, and no codes.

        Args:
            images: float `[n, h, w, 3]` in 0..255, of any size, or features
                `[n, d]`; or views of them, `[n, views, ...]`.
            training: bool, as in `keras.Model.call`.

        Returns:
            Real codes `[n, bits]`, logits, or a dict of both, as the method's
            loss takes them; of views `[views * n, ...]`, those of the first
            view first. `encode` gives packed codes.
        """
        if self._views(images) > 1:
            images = _views.folded(images)
        if len(self.image_shape) == 3:
            images = pixels.resize(images, self.image_shape[:2])
        shown = self.backbone(images, training=training)
        features = shown = ops.cast(shown, "float32")
        if self.hidden is not None:
            features = self.hidden(features, training=training)
        outputs = self.head(features, training=training)
        outputs = _nested.with_logits(self.head, outputs, self.nested)
        if "features" in getattr(self.loss_class, "shown", ()):
            outputs = {"code": outputs, "features": ops.stop_gradient(shown)}
        return outputs

    def _views(self, images):
        """How many views of each image a batch holds."""
        several = len(images.shape) == len(self.image_shape) + 2
        return images.shape[1] if several else 1

    @property
    def lengths(self):
        """The lengths at which its codes are codes, a tuple of int."""
        return (*self.nested, self.bits)

    def shorten(self, bits=None, indices=None):
        """A smaller encoder that makes some of the bits of this one.

        Its codes are the chosen bits of this model's codes; it encodes, saves,
        exports and trains on as any model of its method, without a memory
        bank.

        Args:
            bits: int, how many of the first bits to take. The first bits of a
                code are good codes where the model was trained so (`nested`).
            indices: int `[k]`, the bits to take in their place, from 0, such
                as `keras_hash.codes.select_bits` finds.

        Returns:
            A model of the same class, not compiled, whose codes Keras makes.

        Raises:
            ValueError: both or none of the two are given, bits that there are
                not, or a method whose codes have no bits of their own.
        """
        if (bits is None) == (indices is None):
            raise ValueError(
                "`shorten` takes either `bits` or `indices`. "
                f"Received: bits={bits}, indices={indices}"
            )
        if not self.nests:
            raise ValueError(
                f"Some of the bits of {type(self).__name__} are no code of its "
                f"own. Received: bits={bits}, indices={indices}"
            )
        if indices is None:
            indices = np.arange(codes.check_int(bits, "bits", 1, self.bits))
        return _nested.shortened(self, codes.check_bits(indices, self.bits))

    @property
    def encoder_variables(self):
        """The variables that make codes: all but those of the memory bank."""
        banked = {id(v) for v in self.bank.variables} if self.bank else ()
        return [v for v in self.variables if id(v) not in banked]

    def outputs_to_codes(self, outputs):
        """From the outputs of `call` to real codes centred at 0.

        Args:
            outputs: what `call` returned.

        Returns:
            float tensor `[n, bits]`; `>= 0` is the bit 1.
        """
        return outputs["code"] if isinstance(outputs, dict) else outputs

    def codes_in_training(self, outputs):
        """`outputs_to_codes` without a look at the weights.

        Metrics are computed where the JAX backend has no access to them.
        """
        return self.outputs_to_codes(outputs)

    def default_loss(self, **changed):
        """The method's own loss with the constants of this model.

        Returns:
            A `keras.losses.Loss`.

        Raises:
            ValueError: the method has none, or is solved rather than trained.
        """
        if self.loss_class is None:
            raise ValueError(
                f"{type(self).__name__} has no loss of its own; pass one to "
                "`compile(loss=...)`."
            )
        known = {**self.settings, "num_classes": self.num_classes, **changed}
        known = {k: known[k] for k in self.loss_class.keywords}
        book = known.pop("codebook", None)
        losses = []
        for bits in self.lengths:
            if book is not None:
                whole = isinstance(book, str)
                known["codebook"] = (
                    book if whole else np.asarray(book)[:, :bits]
                )
            losses.append(self.loss_class(bits, **known))
        if not self.nested:
            return losses[0]
        weights = _nested.check_weights(self._nested_weights, self.lengths)
        return _nested.NestedLoss(losses, weights)

    def default_augment(self):
        """The augmentation of training photos that suits the method.

        That of its authors where it is known, mirror images and shifts of a
        sixteenth of the side elsewhere; the strong one for methods that compare
        views. Nothing is mirrored where `mirrors` is false.

        Returns:
            A `keras_hash.data.Augment` for `keras_hash.data.batches`, or `None`
            for methods that were published without.
        """
        if not self.augmentation:
            return None
        from keras_hash import data

        if getattr(self.loss_class, "views", 1) > 1:
            return data.Augment.strong(flip=self.mirrors)
        usual = {
            "flip": self.mirrors,
            "shift": max(1, min(self.image_shape[:2]) // 16),
            "crop": 0.25,
        }
        return data.Augment(**{name: usual[name] for name in self.augmentation})

    def adapt(self, images):
        """Sets what is computed from data rather than trained.

        The `"cifar"` backbone whitens image patches: call this once, before
        `fit`, with a few thousand training images. It does nothing for other
        backbones.

        Args:
            images: as for `encode`.

        Raises:
            ValueError: as `encode`.
        """
        self._check_runtime()
        # All images are looked at, and kept where there is something to adapt.
        kept = slice(None if backbones.whitens(self.backbone) else 0)
        images = self.encode_by(
            lambda batch: batch[kept], images, verbose=False
        )
        backbones.whiten(self.backbone, images)

    def set_runtime(self, runtime):
        """Sets what makes codes from now on; it converts the weights as they
        are, in a few seconds.

        `encode` and `real_codes` run there, all else in Keras. What would
        change the weights, such as `fit` and `set_weights` of the model, is
        refused from then on, until the runtime is `"keras"` again; weights of
        its layers that are changed by hand are not noticed. Codes are those of
        Keras but for near-ties; `keras-hash verify NAME --runtime R` counts
        them.

        Args:
            runtime: `"openvino"`, `"onnx"` or `"litert"`, see
                `keras_hash.export.runtimes`; or `"keras"`.

        Raises:
            ValueError: no such runtime, a model of features, or one that is
                not solved.
            ImportError: the package of an extra is missing.
            RuntimeError: Keras does not run on TensorFlow.

        Example:

        >>> model.set_runtime("openvino")
        >>> codes = model.encode(images)
        """
        from keras_hash.export import runtimes

        codes.check_choice(
            runtime, "runtime", ["keras", *sorted(runtimes.formats())]
        )
        engine = None
        if runtime != "keras":
            engine = runtimes.engine(self, runtime)
        self.runtime, self._engine = runtime, engine

    # Saving

    def export(self, filepath, format=None, dtype=None, images=None):
        """Writes the encoder, from raw images to packed codes.

        Args:
            filepath: str or path of what to write, where nothing is yet: a
                folder, or a file that ends in `.tflite` or `.onnx`. TensorFlow
                Serving reads a folder whose last part is a number.
            format: `None` or `"tf_saved_model"`: the SavedModel of a zoo entry,
                which takes images, and bytes of JPEG and PNG files too, and
                resizes them. `"litert"`, `"onnx"` or `"openvino"`: float32
                images of the model's size in, `code` out, see
                `keras_hash.export.runtimes.convert`.
            dtype: how weights are kept, see `keras_hash.export.save_encoder`
                and `keras_hash.export.runtimes.convert`.
            images: for `"litert"` in `"int8"`: representative images.

        Raises:
            ValueError: an unknown format; something is at `filepath`; a name
                or an option that does not fit the format; a model of features,
                or one that is not solved.
            ImportError: the package of an extra is missing.
            RuntimeError: Keras does not run on TensorFlow.

        Example:

        >>> model.export("serving/mine/1")
        >>> model.export("mine.onnx", format="onnx")
        """
        from keras_hash import export
        from keras_hash.export import runtimes

        known = ["tf_saved_model", *sorted(runtimes.formats())]
        format = known[0] if format is None else format
        codes.check_choice(format, "format", known)
        if format != known[0]:
            runtimes.convert(self, filepath, format, dtype, images)
            return
        if images is not None:
            raise ValueError(
                "`images` calibrate what computes in int8, which no SavedModel "
                f"does. Received: format={format!r}, images of type "
                f"{type(images).__name__}"
            )
        files.check_new(filepath, "path")
        export.save_encoder(self, filepath, dtype)

    def _seed_states(self):
        """Where the random draws of layers, such as dropout, have got to."""
        kept = self.non_trainable_variables
        states = [v for v in kept if v.path.endswith("seed_generator_state")]
        return {f"seed_{i}": state for i, state in enumerate(states)}

    def save_own_variables(self, store):
        # Keras leaves them out: a training that goes on would draw others.
        super().save_own_variables(store)
        for name, state in self._seed_states().items():
            store[name] = state

    def load_own_variables(self, store):
        states = self._seed_states()
        names = [k for k in store.keys() if not k.startswith("seed_")]  # noqa: SIM118
        own = {name: store[name] for name in names}
        super().load_own_variables(own)
        for name in states.keys() & store.keys():
            states[name].assign(store[name])

    def get_config(self):
        backbone = self._backbone_name
        if not isinstance(backbone, str):
            backbone = keras.saving.serialize_keras_object(backbone)
        config = {
            "bits": self.bits,
            "num_classes": self.num_classes,
            "backbone": backbone,
            "input_shape": list(self.image_shape),
            "name": self.name,
            **{key: _plain(value) for key, value in self.settings.items()},
        }
        if not self.mirrors:
            config["mirrors"] = False
        if self.dtype_policy.name != "float32":
            # Layers made under another one would give other codes.
            config["dtype"] = self.dtype_policy.name
        if self.bank is not None:
            config["bank_size"] = self.bank.size
        if self.hidden is not None:
            config["hidden"] = self.hidden.dense.units
        if self.nested:
            config["nested"] = list(self.nested)
        if self._nested_weights is not None:
            config["nested_weights"] = _plain(self._nested_weights)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config["backbone"], dict):
            # A copy: Keras empties some of the dicts that it makes layers of.
            config["backbone"] = keras.saving.deserialize_keras_object(
                copy.deepcopy(config["backbone"]), custom_objects=custom_objects
            )
        return cls(**config)


def _plain(value):
    """A constant as JSON can hold it, numbers of NumPy as those of Python."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _trunk_of_entry(backbone, weights):
    """The encoder of the entry that a backbone names, or `None`."""
    if not isinstance(backbone, str) or backbones.is_network(backbone):
        return None
    from keras_hash import zoo

    if not zoo.is_entry(backbone):
        return None
    if weights is not None:
        raise ValueError(
            f"The backbone of {backbone!r} brings its own weights. "
            f"Received: backbone_weights={weights!r}"
        )
    return zoo.load(backbone)


def _copy(source, target):
    """Gives variables the values of others, in their order."""
    shapes = [[tuple(v.shape) for v in side] for side in (source, target)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`take_head` takes what `head_model` of this model returned. "
            f"Received: a head of another model, {len(source)} weights where "
            f"this one has {len(target)}, or of other shapes"
        )
    for ours, theirs in zip(target, source):
        ours.assign(ops.convert_to_numpy(theirs))

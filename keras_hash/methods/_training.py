"""The training of `HashModel`: what `fit` is fed, and the loss of a batch."""

import contextlib
import numbers
import types

import keras
import numpy as np
from keras import ops

from keras_hash import devices
from keras_hash import forks
from keras_hash import similarity
from keras_hash.data import draws
from keras_hash.data import feed
from keras_hash.data import reading
from keras_hash.methods import _bank
from keras_hash.methods import _losses
from keras_hash.methods import _views


class Trained(keras.Model):
    """A model whose batches are looked at before Keras sees them, and whose
    loss is that of its method unless it is given another."""

    # On JAX, while Keras works on them: variables and their values of before.
    _taken_away = None

    def compile(
        self,
        optimizer="adam",
        loss=None,
        metrics=None,
        backbone_rate=1.0,
        **kwargs,
    ):
        """Configures training; the method's own loss is the default.

        Args:
            optimizer: as in `keras.Model.compile`.
            loss: a loss to use in place of the method's own.
            metrics: metrics on the outputs, in place of `code_accuracy`; of
                methods with several, a dict by their names, such as
                `{"logits": "accuracy"}`.
            backbone_rate: float, learning rate of the backbone as a share of
                the optimizer's. Papers that start from a trained backbone use
                0.1 and less. Weight decay is not shared out.
            **kwargs: as in `keras.Model.compile`.

        Raises:
            ValueError: `backbone_rate` is no share, or the optimizer updates
                all variables at once (Keras on PyTorch); a method that needs a
                memory bank has none; or another runtime makes its codes.
        """
        self._check_runtime()
        if self.needs_bank and self.bank is None and loss is None:
            raise ValueError(
                f"{type(self).__name__} looks at all training images: "
                "`bank_size` should be their number. Received: bank_size=None"
            )
        if kwargs.get("jit_compile", "auto") == "auto":
            kwargs["jit_compile"] = self.jit_compile
        self._method_loss = self.default_loss() if loss is None else None
        self._method_metric = metrics is None and self.supervised
        self._backbone_rate = backbone_rate
        super().compile(
            optimizer=optimizer,
            loss=loss or self._method_loss,
            metrics=metrics,
            **kwargs,
        )
        self._slow_backbone(backbone_rate)

    def _check_runtime(self):
        """Refuses to change weights that were converted for a runtime."""
        if getattr(self, "runtime", "keras") != "keras":
            raise ValueError(
                f"Its codes are made by {self.runtime}, of the weights as they "
                'are: call `set_runtime("keras")` before they change.'
            )

    def set_weights(self, weights):
        self._check_runtime()
        super().set_weights(weights)

    def quantize(self, *args, **kwargs):
        self._check_runtime()
        super().quantize(*args, **kwargs)

    def load_weights(self, filepath, *args, **kwargs):
        self._check_runtime()
        super().load_weights(filepath, *args, **kwargs)

    def _slow_backbone(self, rate):
        """Makes the optimizer update the backbone with a smaller rate."""
        # Where float16 is scaled, the optimizer inside makes the step.
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        vars(optimizer).pop("update_step", None)
        if rate == 1:
            return
        number = isinstance(rate, numbers.Real) and np.isfinite(rate)
        if (
            not number
            or rate < 0
            or hasattr(optimizer, "_parallel_update_step")
        ):
            raise ValueError(
                "`backbone_rate` should be a number, at least 0, and needs "
                f"Keras on TensorFlow or JAX. Received: backbone_rate={rate!r}"
            )
        slow = {v.path for v in self.backbone.trainable_variables}
        update = optimizer.update_step

        def update_step(gradient, variable, learning_rate):
            place = optimizer._get_variable_index(variable)
            path = optimizer._trainable_variables[place].path
            learning_rate = learning_rate * (rate if path in slow else 1.0)
            return update(gradient, variable, learning_rate)

        optimizer.update_step = update_step

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        **kwargs,
    ):
        """Trains as `keras.Model.fit`; labels are checked as they are fed.

        A model that was not compiled is, with Adam and the method's own loss.

        Args:
            x: images `[n, h, w, 3]`, or a list of images, also of several
                sizes, or of paths of image files, which are held in memory; a
                dataset of `(image, label)` or of dicts with `image` and
                `label`, in batches (see
                `keras_hash.data.batches`), or unbatched, which is cut into
                batches of `batch_size` in its order; or batches, which a
                `PyDataset`, a generator, PyTorch's `DataLoader` or Grain's
                `MapDataset` or `IterDataset` yields. What never ends needs
                `steps_per_epoch`.
            y: labels of an image array: int `[n]` (or `[n, 1]`), multi-hot
                `[n, num_classes]`, or without a memory bank rows of shares in
                0..1; anything a loss of your own takes.
            batch_size: as in `keras.Model.fit`.
            epochs: as in `keras.Model.fit`.
            verbose: as in `keras.Model.fit`.
            **kwargs: as in `keras.Model.fit`. The `class_weight` of an image
                with several labels is the mean of theirs. Weights are finite.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: labels of any batch that are missing, no numbers or
                outside `0 .. num_classes - 1`; more images than the memory bank
                holds; data that never end; images that are not `[n, h, w, 3]`;
                weights of images that are not finite; or a model whose codes
                another runtime makes, see `set_runtime`.
        """
        self._check_runtime()
        if not self.compiled:
            self.compile()
        class_weight = kwargs.pop("class_weight", None)
        fed, held = self._feed(True, class_weight), self._feed()
        validation = kwargs.pop("validation_data", None)
        if validation is not None:
            pair = isinstance(validation, (tuple, list))
            sides = validation if pair else [validation]
            labels = (y, *sides[1:2])
            similarity.check_columns(*map(similarity.columns, labels))
            validation = self._taken(
                held,
                *sides,
                steps=kwargs.get("validation_steps"),
                batch_size=kwargs.get("validation_batch_size", batch_size),
            )
        setters = feed.epoch_setters(x)
        share = kwargs.get("validation_split") or 0
        draws.check_share(share, "validation_split")
        split = kwargs.get("validation_split") if validation is None else None
        again = None
        if type(self).after_epoch is not Trained.after_epoch:
            # Lists of files, or of images of several sizes, once for all.
            x = reading.gathered(x, self.image_shape)
            index = y.get("index") if isinstance(y, dict) else None
            shown = x
            if split and y is not None:
                count = int(len(x) * (1 - split))
                shown, index = (
                    x[:count],
                    index if index is None else index[:count],
                )
            again = feed.again(
                shown, self.image_shape, views=False, index=index
            )
        x, y, weights = self._taken(
            fed,
            x,
            y,
            kwargs.pop("sample_weight", None),
            kwargs.get("steps_per_epoch"),
            batch_size,
        )
        if setters or (y is None and getattr(x, "num_batches", None) is None):
            # Keras' default would give batches that have an order another one,
            # by the random state of Python, and warn elsewhere that it cannot.
            kwargs.setdefault("shuffle", False)
        if split and class_weight is not None and weights is not None:
            # What is held out has no class weights, as in Keras.
            weights[int(len(weights) * (1 - split)) :] = 1
        callbacks = kwargs.pop("callbacks", None)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.tree.flatten(callbacks or [])
        if setters:
            # Which epoch starts, also where a training goes on.
            told = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: [
                    set_epoch(epoch) for set_epoch in setters
                ]
            )
            callbacks.append(told)
        if again is not None:
            ended = keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: self._end_epoch(again)
            )
            # First: others measure and save what it sets.
            getattr(callbacks, "callbacks", callbacks).insert(0, ended)
        with fed.errors(), held.errors(), self._keeping_variables():
            return super().fit(
                x,
                y,
                batch_size,
                epochs,
                verbose,
                sample_weight=weights,
                validation_data=validation,
                callbacks=callbacks,
                **kwargs,
            )

    def make_train_function(self, force=False):
        """Keras' own; the variables of the optimizer are there before it.

        TensorFlow traces a step that makes variables twice.
        """
        strategy = getattr(self, "distribute_strategy", None)
        if strategy is not None and not self.optimizer.built:
            with strategy.scope():
                self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    @contextlib.contextmanager
    def _keeping_variables(self):
        """Gives variables their values back, whatever stops the work.

        On JAX Keras takes them away while it works, and after an error or
        Ctrl-C the model would have none.
        """
        try:
            yield
        except BaseException:
            if keras.backend.backend() == "jax":
                # Those after the last step, or else before the first one.
                self.jax_state_sync()
                held = self._taken_away
                for variable, value in held.values if held else ():
                    if variable._value is None and not value.is_deleted():
                        variable.assign(value)
            raise
        finally:
            self._jax_state = self._taken_away = None

    def _purge_model_variables(self, **kinds):
        held = [*self.variables, *self.metrics_variables]
        if kinds.get("optimizer_variables"):
            held += self.optimizer.variables
        values = [(v, v._value) for v in held if v._value is not None]
        # Not a list, whose variables Keras would take for its own.
        self._taken_away = types.SimpleNamespace(values=values)
        super()._purge_model_variables(**kinds)

    def _end_epoch(self, again):
        if keras.backend.backend() == "jax":
            self.jax_state_sync()
        self.after_epoch(again())

    def after_epoch(self, batches):
        """Sets what the method computes of its training images after an epoch.

        `fit` calls it before other callbacks; nothing, unless a method defines
        it. What it sets are weights, which are saved with the model.

        Args:
            batches: what `fit` was fed, read once more: float32 images
                `[n, *image_shape]`, the first view of each, and their index or
                `None`.
        """

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        **kwargs,
    ):
        fed = self._feed()
        if not kwargs.get("_use_cached_eval_dataset"):
            # Otherwise `fit` has it, checked.
            x, y, sample_weight = self._taken(
                fed, x, y, sample_weight, steps, batch_size
            )
        with fed.errors(), self._keeping_variables():
            return super().evaluate(
                x, y, batch_size, verbose, sample_weight, steps, **kwargs
            )

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, **kwargs
    ):
        self._check_runtime()
        fed = self._feed(True, class_weight)
        given = self._of_one_rank(fed.take(x, y, sample_weight))
        return super().train_on_batch(*given, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        given = self._of_one_rank(self._feed().take(x, y, sample_weight))
        return super().test_on_batch(*given, **kwargs)

    def _taken(self, fed, x, y=None, weights=None, steps=None, batch_size=None):
        """What a feed takes, arrays with the index that a bank needs."""
        forks.check()
        devices.check()
        x = reading.gathered(x, self.image_shape)
        if isinstance(weights, (list, tuple)):
            weights = np.asarray(weights)
        ignored = self._ignores_labels() and not isinstance(y, dict)
        if y is not None and ignored and hasattr(x, "__len__"):
            y = np.zeros(len(x), "int32")
        elif y is not None and fed.num_classes is not None:
            x = reading.check_images(x, self.image_shape, False, views=True)
            if fed.bank_size is not None and not isinstance(y, dict):
                y = {"label": y, "index": np.arange(len(x))}
                weights = None if weights is None else np.asarray(weights)
        return self._of_one_rank(fed.take(x, y, weights, steps, batch_size))

    def _of_one_rank(self, given):
        """What is fed; Keras' compiled steps are made anew for labels of
        another rank, such as class numbers after multi-hot ones."""
        x, y = (*given, None)[:2]
        if reading.is_dataset(x):
            spec = x.element_spec
            y = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
        shape = getattr(reading.label_of(y), "shape", ())
        # Of a dataset it may not be known.
        rank = shape.rank if hasattr(shape, "rank") else len(shape)
        if rank and self._label_rank and rank != self._label_rank:
            self.train_function = self.test_function = None
        self._label_rank = rank or self._label_rank
        return given

    def _ignores_labels(self):
        return self._method_loss is not None and not self.supervised

    def _feed(self, training=False, class_weight=None):
        """What checks the labels that this model is fed."""
        looks = self._method_loss is not None and self.supervised
        bank = self.bank if self._method_loss is not None else None
        return feed.TrainingFeed(
            self.num_classes if looks else None,
            self.image_shape,
            soft=bank is None,
            bank_size=bank.size if bank and training else None,
            class_weight=class_weight,
            views=getattr(self._method_loss, "views", 1),
        )

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            config["backbone_rate"] = self._backbone_rate
        if config and self._method_loss is not None:
            config["loss"] = None
        if config and self._method_metric:
            config["metrics"] = None
        frozen = [not layer.trainable for layer in self._flatten_layers()]
        if config and any(frozen):
            config["frozen"] = np.flatnonzero(frozen).tolist()
        return config

    def compile_from_config(self, config):
        config = dict(config)
        if frozen := config.pop("frozen", None):
            # The optimizer has no slots for what is frozen. What holds layers
            # comes before them, and sets them all.
            for place, layer in enumerate(self._flatten_layers()):
                layer.trainable = place not in frozen
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def targets(self, labels, index):
        """What the loss takes for the labels of a batch.

        Args:
            labels: as they are fed, or `None`.
            index: int `[n]`, positions among the training images, or `None`.

        Returns:
            The labels themselves, or what a method knows of these images.
        """
        return labels

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of a batch; `y` is labels or `{"label", "index"}`."""
        # Keras gives the weights the structure of `y`.
        labels, sample_weight = map(reading.label_of, (y, sample_weight))
        # That of a method may take all outputs, and batches of several views.
        given = isinstance(self.loss, _losses.CodeLoss) and self.loss
        own = self._method_loss or given
        if not own:
            return super().compute_loss(
                x, labels, y_pred, sample_weight, training
            )
        # That of other images is none of the bank.
        known = training and isinstance(y, dict)
        index = y.get("index") if known else None
        views = self._views(x)
        # Pairs and lists are those of the whole batch, on all devices.
        whole = devices.gathered(
            (_views.apart(y_pred, views), index, labels, sample_weight)
        )
        y_pred, index, labels, sample_weight = _views.for_loss(
            own, views, *whole
        )
        if self._method_loss is not None:
            labels = self.targets(labels, index)
        if self._method_loss is None or self.bank is None or not training:
            loss = own(labels, y_pred, sample_weight)
        elif index is None:
            raise ValueError(
                "A model with a memory bank needs the index of every "
                "sample: `fit` numbers arrays, and "
                "`keras_hash.data.batches(dataset, size)` has it; for "
                "`train_on_batch` pass {'label': labels, 'index': positions}. "
                f"Received: labels of type {type(y).__name__}"
            )
        else:
            refs = self.bank.update(
                index, labels, self.codes_in_training(y_pred)
            )
            loss = _bank.loss_of(
                lambda outputs: own(labels, outputs, sample_weight, **refs),
                y_pred,
                self.bank.size,
            )
        for extra in self.losses:
            loss = loss + self._aggregate_additional_loss(extra)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        labels, sample_weight = map(reading.label_of, (y, sample_weight))
        if isinstance(y_pred, dict) and not isinstance(labels, dict):
            # Each output has the labels.
            named = dict.fromkeys(y_pred, labels)
        else:
            named = labels
        if self._method_metric and len(np.shape(labels)) < 3:
            # Of several views the first is looked at.
            count = ops.shape(labels)[0]
            real = self.codes_in_training(y_pred)[:count]
            self.code_accuracy.update_state(labels, real, sample_weight)
        return super().compute_metrics(x, named, y_pred, sample_weight)

    @property
    def metrics(self):
        found = super().metrics
        if self._method_metric:
            return found
        return [m for m in found if m is not self.code_accuracy]

"""One file that a training goes on from, after any stop."""

import json
import random
import zipfile

import keras
import numpy as np

from keras_hash import files

# What a damaged file, or one of another kind, ends in.
_ERRORS = OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile
_STATE = {"epoch": int, "about": dict, "python": list, "numpy": list}


class Backup(keras.callbacks.Callback):
    """Keeps a training in one file after each epoch, and goes on from it.

    What `keras.callbacks.BackupAndRestore` does, which writes weights and epoch
    one after the other. The file holds the weights, those of the memory bank
    and of schedules too, the optimizer, the epoch, and the random states of
    Python and NumPy; it is written beside and renamed. With batches of
    `keras_hash.data.batches` or `SampledBatches`, whose order follows from the
    epoch, a training that is stopped at any moment ends in the same weights as
    one that is not. The states of other callbacks are not kept.

    Args:
        path: str or path of the file. It stays there when training ends.
        about: optional dict that JSON can hold, such as the settings of the
            training; going on with others is refused.

    Raises:
        ValueError: `about` is no such dict; or, when training starts, the file
            is no backup, one of another model or optimizer, of other settings,
            or of more epochs than are asked for.

    Example:

    >>> batches = keras_hash.data.batches(bench.train, 64, shuffle=True)
    >>> backup = keras_hash.callbacks.Backup("runs/mine.backup")
    >>> model.fit(batches, epochs=100, callbacks=[backup])
    """

    def __init__(self, path, about=None):
        super().__init__()
        self.path, self.about = files.local(path), about or {}
        try:
            if not isinstance(self.about, dict):
                raise TypeError(f"about of type {type(about).__name__}")
            files.to_json(self.about)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "`about` should be a dict of what JSON can hold, such as str, "
                f"int and float. Received: {error}"
            ) from error

    def on_train_begin(self, logs=None):
        if not self.path.exists():
            return
        state, values = self._read()
        asked = self.params.get("epochs")
        if asked is not None and state["epoch"] > asked:
            raise ValueError(
                f"{self.path} holds a training of {state['epoch']} epochs: "
                "train for as many or more, remove it, or give another path. "
                f"Received: epochs={asked}"
            )
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        variables = self._variables()
        shapes = [tuple(variable.shape) for variable in variables]
        kinds = self._kinds()
        if state.get("kinds", kinds) != kinds:
            raise ValueError(
                f"{self.path} is the backup of another training, of "
                f"{' by '.join(state['kinds'])}: remove it, or give another "
                f"path. Received: {' by '.join(kinds)}"
            )
        if shapes != [value.shape for value in values]:
            raise ValueError(
                f"{self.path} is the backup of another model: remove it, or "
                f"give another path. Received: {len(values)} variables, where "
                f"this model and its optimizer have {len(variables)}"
            )
        for variable, value in zip(variables, values):
            variable.assign(value)
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state(state["numpy"])  # noqa: NPY002
        self.model._initial_epoch = state["epoch"]

    def epochs(self):
        """How many epochs the file holds.

        Returns:
            int, 0 where there is no file.

        Raises:
            ValueError: the file is no backup, or one of other settings.
        """
        return self._read()[0]["epoch"] if self.path.exists() else 0

    def _kinds(self):
        """Classes of model and optimizer: their variables may look alike."""
        return [type(self.model).__name__, type(self.model.optimizer).__name__]

    def _variables(self):
        """All that training changes, those of random layers too."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def _read(self):
        """The state and the values of a training with these settings."""
        try:
            with np.load(self.path) as file:
                state = json.loads(str(file["state"]))
                values = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
            files.check_shape(state, _STATE, "state")
        except _ERRORS as error:
            raise ValueError(
                f"{self.path} is no backup of a training: remove it, or give "
                f"another path. Received: {error}"
            ) from error
        before, now = state["about"], json.loads(files.to_json(self.about))
        changed = [
            f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
        if changed:
            raise ValueError(
                f"A training with other settings was stopped in {self.path}: "
                f"{', '.join(changed)}. Repeat it with the same settings, "
                "remove the file, or give another path."
            )
        return state, values

    def on_epoch_begin(self, epoch, logs=None):
        # Another `fit`, without a backup, begins at its own epoch.
        self.model._initial_epoch = None

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        # The state of what code outside draws from.
        name, numbers, *rest = np.random.get_state()  # noqa: NPY002
        state = {
            "epoch": epoch + 1,
            "about": self.about,
            "kinds": self._kinds(),
            "python": random.getstate(),
            "numpy": [name, numbers.tolist(), *rest],
        }
        text = files.to_json(state, indent=None)
        values = map(keras.ops.convert_to_numpy, self._variables())
        with files.beside(self.path) as new, open(new, "wb") as file:
            np.savez(file, *values, state=np.array(text))

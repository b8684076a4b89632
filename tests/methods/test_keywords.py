"""Constants are written once: function, loss and model show the same ones."""

import inspect
import pydoc
import re

import keras
import numpy as np
import pytest

import keras_hash
from keras_hash.methods import _keywords
from keras_hash.methods import _losses
from keras_hash.methods import registry

METHODS = registry()
WITH_LOSS = sorted(name for name, (_, loss) in METHODS.items() if loss)


def shown(thing):
    """What `help` prints, on one line."""
    text = pydoc.plain(pydoc.render_doc(thing))
    return " ".join(re.sub(r"^ \|", "", text, flags=re.MULTILINE).split())


def defaults(thing, names):
    """The defaults of parameters by name, in their order."""
    parameters = inspect.signature(thing).parameters
    return [(name, parameters[name].default) for name in names]


@pytest.mark.parametrize("name", WITH_LOSS)
def test_function_loss_and_model_show_the_same_constants(name):
    model, loss = METHODS[name]
    function = loss.function
    constants = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is not parameter.empty
        and parameter.name not in (*_keywords.REFERENCES, "num_classes")
    ]
    expected = defaults(function, constants)
    for thing in (loss, model):
        assert defaults(thing, constants) == expected
        given = [
            p for p in inspect.signature(thing).parameters if p in constants
        ]
        assert given == constants
    texts = _keywords.entries(inspect.getdoc(function))
    for constant in constants:
        text = " ".join(f"{constant}: {texts[constant]}".split())
        for thing in (function, loss, model):
            assert text in shown(thing), (constant, thing)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_help_tells_what_every_keyword_means(name):
    for thing in filter(None, METHODS[name]):
        doc = inspect.getdoc(thing)
        entries = _keywords.entries(doc)
        parameters = inspect.signature(thing).parameters
        assert list(entries) == list(parameters), thing
        assert not {p.kind for p in parameters.values()} & {
            inspect.Parameter.VAR_KEYWORD,
            inspect.Parameter.VAR_POSITIONAL,
        }
        known = ["Args", "Call arguments", "Raises", "Example", "Reference"]
        headings = re.findall(f"^({'|'.join(known)}):", doc, re.MULTILINE)
        assert headings == [h for h in known if h in headings]
        assert {"Args", "Raises", "Reference"} <= set(headings)


@pytest.mark.parametrize("name", WITH_LOSS)
def test_defaults_are_what_the_signature_says(name):
    model_class, loss_class = METHODS[name]
    bits = {"dshc": 15, "dshcmultilabel": 5}.get(name, 12)
    model = model_class(bits, 5, backbone="features", input_shape=(8,))
    loss = model.default_loss()
    for thing in (model, loss):
        config = thing.get_config()
        for keyword in type(thing).keywords:
            default = inspect.signature(type(thing)).parameters[keyword].default
            if default is inspect.Parameter.empty:
                assert (keyword, config[keyword]) == ("num_classes", 5)
            elif keyword == "num_classes":
                assert config[keyword] == 5
            elif not (thing is loss and keyword == "codebook"):
                assert config[keyword] == default, keyword
    registered = keras.saving.get_registered_name
    assert registered(model_class) == f"keras_hash>{model_class.__name__}"
    assert registered(loss_class) == f"keras_hash>{loss_class.__name__}"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_unknown_keywords_are_told_the_known_ones(name):
    for thing in filter(None, METHODS[name]):
        known, sizes = str(inspect.signature(thing)), ("bits", "num_classes")
        with pytest.raises(
            TypeError, match="keyword argument 'gama'"
        ) as raised:
            thing(**{name: 12 for name in sizes if name in known}, gama=1.0)
        assert f"{thing.__name__}: " in str(raised.value)
        assert known in str(raised.value)


def test_constants_by_place():
    assert keras_hash.losses.DCH(8, 3.0, 0.5).settings == {
        "gamma": 3.0,
        "quantization": 0.5,
    }
    model = keras_hash.models.DCH(8, 4, 3.0)
    assert model.settings == {"gamma": 3.0, "quantization": 0.1}
    with pytest.raises(TypeError, match="multiple values for argument 'gamma'"):
        keras_hash.losses.DCH(8, 3.0, gamma=3.0)
    with pytest.raises(TypeError, match="missing a required.*'num_classes'"):
        keras_hash.losses.CSQ(8)
    with pytest.raises(ValueError, match="bits=None"):
        keras_hash.losses.CSQ(None, 4)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_constants_that_make_no_sense_are_refused(name):
    """Every number of every method, where it is given."""
    for thing in filter(None, METHODS[name]):
        for keyword, (parameter, _) in thing.keywords.items():
            default = parameter.default
            if keyword == "num_classes" or isinstance(default, str):
                continue
            wrong = [np.nan, np.inf, -1.0, "many", [1.0]]
            if isinstance(default, bool):
                wrong = ["yes", 2, None]
            elif isinstance(default, int):
                wrong += [1.5, True]
            for value in wrong:
                sizes = {"bits": 12, "num_classes": 5, keyword: value}
                known = inspect.signature(thing).parameters
                given = {k: v for k, v in sizes.items() if k in known}
                with pytest.raises(ValueError, match=f"`{keyword}` should be"):
                    thing(**given)


@pytest.mark.parametrize(
    "name, keyword",
    [
        ("cibhash", "temperature"),
        ("dhd", "temperature"),
        ("dch", "gamma"),
        ("hashnet", "scale"),
        ("crovca", "width"),
        ("vdsh", "width"),
        ("talr", "bins"),
        ("sdc", "concentration"),
        ("crovca", "distortion"),
    ],
)
def test_what_is_divided_by_is_above_zero(name, keyword):
    with pytest.raises(ValueError, match=f"{keyword}=0"):
        METHODS[name][0](12, 5, **{keyword: 0})


@pytest.mark.parametrize(
    "name, keyword, value",
    [("sdc", "concentration", 65), ("dslh", "correction", 1.1)],
)
def test_what_is_too_large(name, keyword, value):
    given = {"num_classes": 5} if METHODS[name][1].supervised else {}
    with pytest.raises(ValueError, match=f"{keyword}={value}"):
        METHODS[name][1](12, **given, **{keyword: value})


def pull(labels, codes, ref_labels=None, ref_codes=None, target=1.0):
    """Codes to a length.

    Args:
        target: float, the length.
    """
    gap = keras.ops.absolute(codes) - target
    return keras.ops.mean(keras.ops.square(gap), axis=1)


class PullLoss(_losses.PairLoss):
    """A loss of one's own."""

    function = staticmethod(pull)


class Pull(keras_hash.models.HashModel):
    """A method of one's own.

    Args:
        num_classes: int, not looked at.
    """

    loss_class = PullLoss

    def add_head(self, gain=2.0):
        """A layer with a start of its own.

        Args:
            gain: float, of the start.
        """
        start = keras.initializers.Orthogonal(gain, seed=0)
        self.head = keras.layers.Dense(self.bits, kernel_initializer=start)


class Longer(Pull):
    """A constructor of its own.

    Args:
        note: str, kept.
    """

    def __init__(self, bits, num_classes, note="", **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.note = note


def test_a_method_of_ones_own_needs_no_constructor(tmp_path, rng):
    given = {"backbone": "features", "input_shape": (6,)}
    model = Pull(4, 2, target=2.0, **given)
    assert model.settings == {"target": 2.0, "gain": 2.0}
    assert "target: float, the length." in inspect.getdoc(Pull)
    assert "gain: float, of the start." in inspect.getdoc(Pull)
    assert "num_classes: int, not looked at." in inspect.getdoc(Pull)
    features = rng.randn(8, 6).astype("float32")
    model.compile("sgd")
    model.fit(features, np.arange(8) % 2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.encode(features), model.encode(features)
    )
    assert again.get_config() == model.get_config()

    # Not finished by its constructor, so with the first images.
    longer = Longer(4, 2, "long", target=3.0, **given)
    assert longer.default_loss().settings == {"target": 3.0}
    assert longer.encode(features).shape == (8, 1) and longer.built
    assert str(inspect.signature(Longer)).startswith(
        "(bits, num_classes, note='', *, target=1.0, gain=2.0, backbone="
    )
    assert "note: str, kept." in inspect.getdoc(Longer)
    assert "gain: float, of the start." in inspect.getdoc(Longer)

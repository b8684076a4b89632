"""Keywords of losses and models: each is written once, where it is used.

The constants of a loss stand in the signature of its function (and of
`prepare`), those of a model in its loss and in `add_head`; what they mean
stands in the docstrings there. How the classes are called, what `help` shows
and what an unknown keyword is told follow from these.
"""

import inspect
import math
import numbers
import re
import sys
import textwrap

import keras
import numpy as np

from keras_hash.codes import check_int

# With a default, but no constants: the other side of pairs, and what is known
# of the pairs of a batch.
REFERENCES = ("ref_labels", "ref_codes", "similar", "confidence")
# Those that count something, if they are given.
_COUNTS = ("bins", "list_size", "units", "width")
_HEADINGS = ("Args", "Call arguments", "Raises", "Example", "Reference")


def register(cls):
    """Makes Keras save a class by its name: `keras_hash>NAME` for ours."""
    package = cls.__module__.partition(".")[0]
    keras.saving.register_keras_serializable(package)(cls)


def taken(cls, hook):
    """What a function of a class takes as keywords, and what they mean.

    That is its parameters with a default, and `num_classes`: a dict from name
    to `inspect.Parameter` and text.
    """
    function, texts = getattr(cls, hook), {}
    if function is None:
        return {}
    for owner in reversed(cls.__mro__):
        texts.update(entries(inspect.getdoc(vars(owner).get(hook))))
    return {
        name: (parameter, texts.get(name))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in REFERENCES
        and (name == "num_classes" or parameter.default is not parameter.empty)
    }


def bind(thing, constants, named):
    """The keywords of a loss or model as they were given, or by default."""
    cls = type(thing)
    parameters = [parameter for parameter, _ in cls.keywords.values()]
    try:
        bound = inspect.Signature(parameters).bind(*constants, **named)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__}: {error}. It takes {inspect.signature(cls)}"
        ) from None
    bound.apply_defaults()
    loss = getattr(cls, "loss_class", None) or cls
    for name, value in bound.arguments.items():
        default = bound.signature.parameters[name].default
        _check(loss, name, value, default)
    return bound.arguments


def _check(loss, name, value, default):
    """Refuses what is no constant: of the kind of its default, and no number
    below 0, or at 0 where the loss divides by it, or too large."""
    positive = name in getattr(loss, "positive", ())
    most = getattr(loss, "largest", {}).get(name, math.inf)
    number = default is None or isinstance(default, numbers.Real)
    if value is default or not number:
        return
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if isinstance(default, bool):
        fine, wanted = isinstance(value, (bool, np.bool_)), "a bool"
    elif isinstance(default, numbers.Integral) or name in _COUNTS:
        least = int(positive or name in _COUNTS)
        return check_int(value, name, least, None if most == math.inf else most)
    elif name in getattr(loss, "signed", ()):
        fine, wanted = real and math.isfinite(value), "a finite number"
    elif positive:
        fine, wanted = real and 0 < value < math.inf, "a number above 0"
    else:
        fine, wanted = real and 0 <= value < math.inf, "a number of at least 0"
    if fine and value > most:
        fine, wanted = False, f"at most {most}"
    if not fine:
        raise ValueError(
            f"`{name}` should be {wanted}. Received: {name}={value!r}"
        )


def fitting(function, settings):
    """Those of the settings that a function takes."""
    names = inspect.signature(function).parameters
    return {name: settings[name] for name in names if name in settings}


def show(cls, base, required):
    """Gives a class its signature, and a docstring with all it takes.

    The keywords stand in place of `*constants` of `base`, and those of `base`
    in place of `**kwargs` of an own `__init__`. What is `required`, and what
    stands before it, has no default.
    """
    parameters = {}
    for parameter in inspect.signature(base.__init__).parameters.values():
        if parameter.kind == parameter.VAR_POSITIONAL:
            for name, (keyword, _) in cls.keywords.items():
                parameters[name] = keyword
        elif parameter.kind != parameter.VAR_KEYWORD:
            parameters[parameter.name] = parameter
    if cls.__init__ is base.__init__:
        names = list(parameters)
        end = max((names.index(name) + 1 for name in required), default=0)
        for name in names[:end]:
            parameters[name] = parameters[name].replace(
                default=inspect.Parameter.empty
            )
    else:
        own = inspect.signature(cls.__init__).parameters
        others = {
            name: parameter.replace(kind=parameter.KEYWORD_ONLY)
            for name, parameter in parameters.items()
        }
        parameters = {
            name: parameter
            for name, parameter in {**own, **others, **own}.items()
            if parameter.kind != parameter.VAR_KEYWORD
        }
    parameters.pop("self")
    cls.__signature__ = inspect.Signature(list(parameters.values()))
    if cls.__doc__:
        cls.__doc__ = _composed(cls, base)


def _composed(cls, base):
    """A docstring with the entries of all keywords."""
    parts = sections(cls.__doc__)
    texts = entries(base.__doc__)
    texts.update({name: text for name, (_, text) in cls.keywords.items()})
    texts.update(entries(cls.__doc__))
    args = [
        textwrap.indent(f"{name}: {texts[name]}", "    ")
        for name in cls.__signature__.parameters
        if texts.get(name)
    ]
    parts["Args"] = "\n" + "\n".join(args)
    for parent in cls.__mro__[1 : cls.__mro__.index(base) + 1]:
        for heading in ("Call arguments", "Raises"):
            text = sections(parent.__doc__).get(heading)
            if text:
                parts.setdefault(heading, text)
    page = sections(getattr(sys.modules.get(cls.__module__), "__doc__", None))
    if "Reference" in page:
        parts.setdefault("Reference", page["Reference"])
    known = [h for h in _HEADINGS if h in parts]
    return "\n\n".join([parts[""], *(f"{h}:{parts[h]}" for h in known)])


def sections(doc):
    """A docstring cut at its headings: a dict, its start under `""`."""
    headings = "|".join(_HEADINGS)
    cut = re.split(rf"^({headings}):", inspect.cleandoc(doc or ""), flags=re.M)
    texts = [part.rstrip() for part in cut[::2]]
    return dict(zip(["", *cut[1::2]], texts))


def entries(doc):
    """The entries under `Args:`: a dict from name to text."""
    block = textwrap.dedent(sections(doc).get("Args", ""))
    found = re.findall(r"^(\w+): (.*\n?(?:    .*\n?)*)", block, re.MULTILINE)
    return {name: text.rstrip() for name, text in found}

"""What users call, as it is at run time: modules, names, methods."""

import importlib
import inspect
import types

from reference import MODULES

# Arguments of Keras' own, which every loss or model has.
KERAS = ("name", "reduction")
# What a method may override, for those who write one: see CONTRIBUTING.md.
HOOKS = (
    "add_head",
    "check",
    "codes_in_training",
    "directions",
    "images_to_codes",
    "prepare",
    "solve",
)


def members(module):
    """Public functions and classes of a module: `__all__`, or its own."""
    named = getattr(module, "__all__", None)
    for name in named or sorted(vars(module)):
        value = getattr(module, name)
        if isinstance(value, types.ModuleType) or not callable(value):
            continue
        home = f"{getattr(value, '__module__', '')}."
        own = home.startswith(f"{module.__name__}.")
        if named or (own and not name.startswith("_")):
            yield name, value


def inherited(cls, name):
    """Whether a name comes from a base that is not the library's."""
    return any(
        name in vars(base)
        for base in cls.__mro__
        if not base.__module__.startswith("keras_hash")
    )


def names():
    """All public functions, classes and methods: pairs of name and object.

    A method that Keras defines is Keras' to describe, and one that overrides
    another is described where it comes from.
    """
    found, methods = {}, {}
    for path in MODULES:
        for name, value in members(importlib.import_module(path)):
            found.setdefault(value, f"{path}.{name}")
    for value, name in found.items():
        yield name, value
        for key, thing in own_methods(value):
            methods.setdefault(thing, f"{name}.{key}")
    for thing, name in methods.items():
        yield name, thing


def own_methods(cls):
    """Public methods and properties, as the first class that has them."""
    if not isinstance(cls, type):
        return
    seen = {}
    for base in cls.__mro__:
        if base.__module__.startswith("keras_hash"):
            seen |= vars(base)
    for key, thing in seen.items():
        if isinstance(thing, (classmethod, staticmethod)):
            thing = thing.__func__
        known = inspect.isfunction(thing) or isinstance(thing, property)
        public = not key.startswith("_") and key not in HOOKS
        if known and public and not inherited(cls, key):
            yield key, thing


def parameters(value):
    """Names of the arguments that a docstring has to explain."""
    if isinstance(value, property):
        return []
    whole = getattr(value, "__signature__", None)
    if whole is None:
        target = value.__init__ if isinstance(value, type) else value
        whole = inspect.signature(target)
    return [
        name
        for name, parameter in whole.parameters.items()
        if name not in ("self", "cls", *KERAS)
        and parameter.kind is not parameter.VAR_KEYWORD
    ]

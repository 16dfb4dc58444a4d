"""The registry of methods: the module of this package that has the name of an entry of conf/method implements it.

Names may be those of variants, such as ``smve+keep=16``. A record may be a stranger's and name a method that this
installation does not have: `end_to_end`, `title` and `order` then answer as for a first stage without a title.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any

from harness import indexes
from harness.config.entries import choices
from harness.methods.indexed import Indexed
from harness.methods.method import TEXTS, TOKENS, Method
from harness.system.errors import HarnessError, unknown


def method_class(name: str) -> type[Method]:
    """The class of a method, or of a variant of it.

    Raises
    ------
    HarnessError
        If conf/method has no such entry, or its module does not define exactly one subclass of `Method`.
    """
    base = base_name(name)
    if base not in choices("method"):
        raise unknown("method", base, choices("method"))
    return _class_of(base)


@cache  # a table asks for it thousands of times
def _class_of(base: str) -> type[Method]:
    """The class in the module of an entry of conf/method."""
    path = f"{__package__}.{base}"
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise HarnessError(f"conf/method/{base}.yaml has no module harness/methods/{base}.py: write it.") from error
    defined = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == path
    ]
    if len(defined) != 1:
        raise HarnessError(f"harness/methods/{base}.py defines {len(defined)} subclasses of Method, expected one.")
    return defined[0]


def make(options: Mapping[str, Any]) -> Method:
    """The method that an entry of conf/method describes, in its index, if it has one.

    Raises
    ------
    HarnessError
        For options that the method cannot have.
    """
    made_by, given = method_class(options["name"]), arguments(options)
    try:
        signature(made_by).bind(**given)
    except TypeError as error:
        raise HarnessError(
            f"method={options['name']}: its constructor does not take the options {', '.join(given) or 'of its entry'} "
            f"of conf/method ({error}): write the same names in both."
        ) from error
    method = made_by(**given)
    index = options.get("index")
    return Indexed(options["name"], method, indexes.make(index)) if index else method


def arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one draw that a method is made from: all but its name, index and further seeds."""
    return {key: value for key, value in options.items() if key not in ("name", "index", "seeds")}


def all_methods() -> list[str]:
    """The entries of conf/method in the order of tables."""
    return sorted(choices("method"), key=order)


def is_known(name: str) -> bool:
    """Whether conf/method has the method."""
    return base_name(name) in choices("method")


def traits(name: str) -> type[Method]:
    """The class whose attributes describe a method: its own, or `Method` with the defaults for an unknown one."""
    return method_class(name) if is_known(name) else Method


def end_to_end(name: str) -> bool:
    """Whether a method ranks with MaxSim itself (`Method.end_to_end`)."""
    return traits(name).end_to_end


def is_centered(name: str) -> bool:
    """Whether a centering changes what a method sees: it neither ranks with MaxSim itself nor reads texts."""
    return not end_to_end(name) and traits(name).reads == TOKENS


def needs_tokens(name: str, depth: int) -> bool:
    """Whether a method, reranked to a depth, needs token vectors: one that reads texts does not at rk=0."""
    return traits(name).reads != TEXTS or depth > 0


def title(name: str) -> str:
    """A method's title, with the options of a variant behind it."""
    base, *options = name.split("+")
    return " ".join([method_class(base).title if is_known(base) else base, *options])


def order(name: str) -> tuple[int, str]:
    """The key by which methods are sorted: their own order, then their names; unknown ones last."""
    return (method_class(name).order if is_known(name) else 1 << 30, name)


def base_name(name: str) -> str:
    """The entry of conf/method that a variant was made from."""
    return name.split("+")[0]

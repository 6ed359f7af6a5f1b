"""The shapes of arrays in annotations hold while tests run; mypy has checked all other types."""

from types import FunctionType
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check_shapes(function):
    """Let beartype check the arguments and the result of a function that have shapes, after it has run.

    jaxtyping makes two stand-ins of each function: one that sees its arguments before it runs, and returns
    ``Any``, and one that sees arguments and result afterwards. The second is enough, and lets a function answer
    wrong shapes by an error of its own.
    """
    hints = function.__annotations__
    shaped = {name: hint for name, hint in hints.items() if has_shape(hint)}
    if not shaped or hints.get("return") is Any:
        return function
    function.__annotations__ = shaped
    return CHECK(function)


def has_shape(hint: Any) -> bool:
    """Whether an annotation is an array of a shape, or has one inside; one that is text may be."""
    if isinstance(hint, str):
        return "[" in hint
    return (isinstance(hint, type) and issubclass(hint, AbstractArray)) or any(map(has_shape, get_args(hint)))


def only_shaped(jaxtyped):
    """``jaxtyped``, which leaves functions alone that have no shapes: two stand-ins of each take time."""

    def jaxtyped_if_shaped(fn=None, *, typechecker):
        if fn is None:
            return lambda fn: jaxtyped_if_shaped(fn, typechecker=typechecker)
        if isinstance(fn, FunctionType) and not any(map(has_shape, fn.__annotations__.values())):
            return fn
        return jaxtyped(fn, typechecker=typechecker)

    return jaxtyped_if_shaped


jaxtyping.jaxtyped = only_shaped(jaxtyping.jaxtyped)  # which the import hook calls by this name

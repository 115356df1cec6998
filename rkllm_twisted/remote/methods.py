"""What makes a client's method look like the call that it makes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)


def like(make: Callable[..., object]) -> Callable[[F], F]:
    """Give a method the name, the documentation and the parameters of a function."""
    signature = inspect.signature(make)
    parameters = [_SELF, *signature.parameters.values()]

    def dress(method: F) -> F:
        functools.update_wrapper(method, make)
        # What it gives back is the client's affair: a value, or a Deferred of one.
        method.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=inspect.Signature.empty
        )
        return method

    return dress

"""What makes a client's method look like the call that it makes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import inspect

F = TypeVar("F", bound=Callable[..., Any])


def shaped_like(make: Callable[..., object]) -> Callable[[F], F]:
    """Give a method the name, the documentation and the parameters of a function."""

    def dress(method: F) -> F:
        functools.update_wrapper(method, make)
        method.__wrapped__ = _Shape(make)  # type: ignore[attr-defined]
        return method

    return dress


class _Shape:
    """What ``inspect.signature`` finds behind a method.

    The signature is made when somebody asks for it: to import ``inspect`` takes a third of the time
    that the rest of a client's start does.
    """

    def __init__(self, make: Callable[..., object]) -> None:
        self.__wrapped__ = make

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        import inspect  # noqa: PLC0415 - see above

        signature = inspect.signature(self.__wrapped__)
        self_ = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        # What it gives back is the client's affair: a value, or a Deferred of one.
        return signature.replace(
            parameters=[self_, *signature.parameters.values()],
            return_annotation=inspect.Signature.empty,
        )

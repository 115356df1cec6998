"""A call of one of the daemon's methods, and what both clients do with it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    import inspect

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class MethodCall(Generic[T]):
    """A request, and how to read its answer.

    :param read: converts the result, and each partial result.
    :param timeout: seconds to wait for each result; None means the client's own timeout.
    """

    def __init__(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        read: Callable[[Any], T],
        timeout: float | None = None,
    ) -> None:
        self.method: Final = method
        self.params: Final = params
        self.read: Final = read
        self.timeout: Final = timeout


class Results(Generic[T]):
    """The results of one request of a blocking client, in order.

    The request is sent when the first result is asked for. Leaving the loop, :meth:`close` and the
    end of a ``with`` block cancel it.
    """

    def __init__(self, method: str, results: Generator[T, None, None]) -> None:
        self._method = method
        self._results = results
        self._is_used = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._is_used = True
        return next(self._results)

    def __enter__(self) -> Results[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the request, if it is not answered yet."""
        self._is_used = True
        self._results.close()

    def __del__(self) -> None:
        if not self._is_used:
            warnings.warn(
                f"The results of {self._method} were never read, so the request was not sent; read"
                " them with `for result in …`.",
                RuntimeWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"<results of {self._method}>"


def like_function(make: Callable[..., object], returns: str) -> Callable[[F], F]:
    """Return a decorator that gives a method the name, documentation and parameters of ``make``.

    :param returns: the annotation of what the method returns; ``T`` stands for the value that
        ``make``'s call returns, as in ``Deferred[T]``.
    """

    def decorate(method: F) -> F:
        functools.update_wrapper(method, make)
        method.__wrapped__ = _ShownSignature(make, returns)  # type: ignore[attr-defined]
        return method

    return decorate


class _ShownSignature:
    """The signature that ``inspect`` finds behind a client's method.

    The signature is made on demand, because importing ``inspect`` takes a third of the time that
    the rest of a client's import takes.
    """

    def __init__(self, make: Callable[..., object], returns: str) -> None:
        self.__wrapped__ = make
        self._returns = returns

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        import inspect  # noqa: PLC0415 - see above
        import re  # noqa: PLC0415

        signature = inspect.signature(self.__wrapped__)
        parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
        for parameter in signature.parameters.values():
            parameters += self._expanded(parameter)
        value = str(signature.return_annotation).removeprefix("MethodCall[").removesuffix("]")
        return signature.replace(
            parameters=parameters,
            return_annotation=re.sub(r"\bT\b", value, self._returns),
        )

    @staticmethod
    def _expanded(parameter: inspect.Parameter) -> list[inspect.Parameter]:
        """Return a parameter for each field that ``**fields`` stands for."""
        if parameter.kind is not parameter.VAR_KEYWORD:
            return [parameter]
        from rkllm_twisted.client_core import fields, inference_options  # noqa: PLC0415 - for help()

        name = str(parameter.annotation).removeprefix("Unpack[").removesuffix("]")
        structure = getattr(fields, name, None) or getattr(inference_options, name)
        kinds = structure.__annotations__
        return [
            parameter.replace(
                name=name,
                kind=parameter.KEYWORD_ONLY,
                default=None,
                annotation=getattr(kind, "__forward_arg__", kind),
            )
            for name, kind in kinds.items()
        ]


def checked_timeout(seconds: float | None) -> float | None:
    """Return a timeout.

    :raises TypeError: if it is not a number.
    """
    if seconds is not None and not isinstance(seconds, int | float):
        raise TypeError(f"timeout is a number of seconds, or None, not {seconds!r}.")
    return seconds


def remote_params(method: str, args: Sequence[object], kwargs: Mapping[str, object]) -> Any:
    """Return the params of a ``callRemote``.

    :raises TypeError: if they are given both ways.
    """
    if args and kwargs:
        raise TypeError(f"{method} takes parameters by position or by name, not both.")
    return list(args) or kwargs or None


def unchanged(result: Any) -> Any:
    """Return the result as it came."""
    return result

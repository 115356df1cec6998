"""The iterator that a blocking client returns for a request."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Results(Generic[T]):
    """The results of one request, in order.

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

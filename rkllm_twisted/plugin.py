"""Public: write an RPC method as a function. ``docs/writing-methods.md`` shows how.

.. code-block:: python

    @method("greet.hello")
    def hello(name: str = "world") -> dict[str, str]:
        \"\"\"Greet by name.\"\"\"
        return {"greeting": f"Hello, {name}!"}
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import (
    IAdministrative,
    ICall,
    IDescribedMethod,
    INeedsModel,
    IUsesNPU,
)

#: A first parameter of this name gets the :class:`~rkllm_twisted.interfaces.ICall`.
CALL = "call"


@implementer(IPlugin, IDescribedMethod)
class FunctionMethod:
    """An RPC method that is a function. :func:`method` makes a subclass for each.

    :param function: what answers a request.
    :param params: the attrs class that its parameters make.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        summary: str,
        params: type,
        result: object,
        streams: bool,
    ) -> None:
        self.function = function
        self.name = name
        self.summary = summary
        self.params = params
        self.result = result
        self.streams = streams
        self._takes_call = next(iter(inspect.signature(function).parameters), None) == CALL

    def call(self, call: ICall) -> Any:
        """Call the function with the parameters by name."""
        values = {f.name: getattr(call.params, f.name) for f in attrs.fields(self.params)}
        return self.function(call, **values) if self._takes_call else self.function(**values)


def method(
    name: str,
    *,
    summary: str | None = None,
    streams: bool = False,
    administrative: bool = False,
    uses_npu: bool = False,
) -> Callable[[Callable[..., Any]], FunctionMethod]:
    """Make an RPC method of a function or a coroutine function.

    Its parameters are those of the method, with their annotations and defaults; the daemon checks
    them before it calls. A first parameter ``call`` gets the request itself
    (:class:`~rkllm_twisted.interfaces.ICall`). Texts after ``:param name:`` in the docstring
    describe the parameters to clients, and the return annotation the result.

    :param name: the method as clients call it, ``group.verb``.
    :param summary: one line that says what it does; by default the docstring's first line.
    :param streams: true if it calls ``call.stream``.
    :param administrative: true if it changes or stops what all clients share.
    :param uses_npu: true if it makes calls of the NPU, which need a model; its description then
        names their errors.
    :raises TypeError: a parameter of the function cannot be one of a request.
    """

    def decorate(function: Callable[..., Any]) -> FunctionMethod:
        documentation = inspect.getdoc(function) or ""
        line = summary or documentation.partition("\n")[0] or name
        hints = _hints(function)
        # The class names the function's module: the daemon shows it as the origin of the method.
        own = {"__module__": function.__module__, "__qualname__": function.__qualname__}
        marks = [*[IAdministrative] * administrative, *[IUsesNPU, INeedsModel] * uses_npu]
        made: Any = implementer(*marks)(type(function.__name__, (FunctionMethod,), own))
        params = _params_of(function, name, hints, documentation)
        result: FunctionMethod = made(
            function, name, line, params, hints.get("return", object), streams
        )
        return result

    return decorate


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as objects; that of ``call`` may be for a type checker only."""
    given = {name: hint for name, hint in function.__annotations__.items() if name != CALL}
    holder = types.SimpleNamespace(__annotations__=given)
    return typing.get_type_hints(holder, function.__globals__, include_extras=True)


def _params_of(
    function: Callable[..., Any], name: str, hints: dict[str, Any], documentation: str
) -> type:
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name == CALL:
        del parameters[0]
    fields = {}
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{name}: {parameter} cannot be a parameter of a request.")
        has_default = parameter.default is not parameter.empty
        default = {"default": parameter.default} if has_default else {}
        hint = hints.get(parameter.name, Any)
        fields[parameter.name] = attrs.field(type=hint, **default)
    made = attrs.make_class(f"{function.__name__}_params", fields, frozen=True)
    made.__doc__ = documentation
    made.__module__ = function.__module__
    return made

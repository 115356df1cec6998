"""The methods of both clients, in one table: a function of the daemon costs one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from rkllm_twisted.client_core import (
    inference_methods,
    methods,
    model_methods,
    sequence_method,
    vision_methods,
)
from rkllm_twisted.client_core.call import MethodCall, like_function

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    C_contra = TypeVar("C_contra", contravariant=True)
    R_co = TypeVar("R_co", covariant=True)
    R = TypeVar("R")

    class _Sender(Protocol[C_contra, R_co]):
        """A client that turns a MethodCall[T] into a T, a Deferred[T] …"""

        def _send(self, call: C_contra, /) -> R_co: ...

    class _Streamer(Protocol[C_contra, R_co]):
        """A client that turns a MethodCall[T] into an iterator of T."""

        def _stream(self, call: C_contra, /) -> R_co: ...


class _MethodRow(Generic[P, T]):
    """One method of a client.

    It is a descriptor to type checkers only, which infer from the client's own ``_send`` what its
    method returns. :class:`DaemonMethods` puts a function in its place.

    :param make: a function of :mod:`~rkllm_twisted.client_core.methods` or a module beside it.
    """

    #: The client's own method that makes such a call.
    sender = "_send"

    def __init__(self, make: Callable[P, MethodCall[T]]) -> None:
        self._make = make

    def method_of(self, client: type) -> Callable[..., Any]:
        """Return the method for a class of clients."""
        make, sender = self._make, self.sender
        returns: str = getattr(client, sender).__annotations__["return"]

        @like_function(make, returns)
        def method(self: object, /, *args: P.args, **kwargs: P.kwargs) -> object:
            return getattr(self, sender)(make(*args, **kwargs))

        return method


class _SingleMethod(_MethodRow[P, T]):
    """A method that answers once."""

    if TYPE_CHECKING:

        def __get__(self, client: _Sender[MethodCall[T], R], kind: object) -> Callable[P, R]: ...


class _StreamMethod(_MethodRow[P, T]):
    """A method that streams."""

    sender = "_stream"

    if TYPE_CHECKING:

        def __get__(self, client: _Streamer[MethodCall[T], R], kind: object) -> Callable[P, R]: ...


class DaemonMethods:
    """Gives a class of clients the methods of the daemon.

    The class has ``_send(call)`` and ``_stream(call)``, whose annotations say what its methods
    return.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Add the methods to a client, but not to a program's own subclass of it."""
        super().__init_subclass__(**kwargs)
        if DaemonMethods in cls.__bases__:
            for name, row in vars(DaemonMethods).items():
                if isinstance(row, _MethodRow):
                    setattr(cls, name, row.method_of(cls))

    run_async = _StreamMethod(methods.run_async)
    chat = _SingleMethod(inference_methods.chat)
    chat_stream = _StreamMethod(inference_methods.chat_stream)
    render_chat = _SingleMethod(inference_methods.render_chat)
    complete_text = _SingleMethod(inference_methods.complete_text)
    structured_text = _SingleMethod(inference_methods.structured_text)
    create_embeddings = _SingleMethod(inference_methods.create_embeddings)
    score_documents = _SingleMethod(inference_methods.score_documents)
    encode_tokens = _SingleMethod(inference_methods.encode_tokens)
    decode_tokens = _SingleMethod(inference_methods.decode_tokens)
    count_tokens = _SingleMethod(inference_methods.count_tokens)
    init = _SingleMethod(methods.init)
    run = _SingleMethod(methods.run)
    abort = _SingleMethod(methods.abort)
    pause = _SingleMethod(methods.pause)
    is_running = _SingleMethod(methods.is_running)
    destroy = _SingleMethod(methods.destroy)
    load_lora = _SingleMethod(methods.load_lora)
    load_prompt_cache = _SingleMethod(methods.load_prompt_cache)
    release_prompt_cache = _SingleMethod(methods.release_prompt_cache)
    clear_kv_cache = _SingleMethod(methods.clear_kv_cache)
    get_kv_cache_size = _SingleMethod(methods.get_kv_cache_size)
    set_chat_template = _SingleMethod(methods.set_chat_template)
    set_function_tools = _SingleMethod(methods.set_function_tools)
    set_cross_attn_params = _SingleMethod(methods.set_cross_attn_params)
    create_default_param = _SingleMethod(methods.create_default_param)
    get_constants = _SingleMethod(methods.get_constants)
    sequence = _SingleMethod(sequence_method.sequence)
    list_models = _SingleMethod(model_methods.list_models)
    show_model = _SingleMethod(model_methods.show_model)
    load_model = _SingleMethod(model_methods.load_model)
    unload_model = _SingleMethod(model_methods.unload_model)
    load_encoder = _SingleMethod(vision_methods.load_encoder)
    encode_image = _SingleMethod(vision_methods.encode_image)
    unload_encoder = _SingleMethod(vision_methods.unload_encoder)
    status = _SingleMethod(methods.status)
    version = _SingleMethod(methods.version)
    ping = _SingleMethod(methods.ping)
    configure = _SingleMethod(methods.configure)

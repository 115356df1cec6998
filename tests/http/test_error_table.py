"""Each error of a daemon has its status, its code, and whether to try again."""

from __future__ import annotations

import pytest

from rkllm_twisted import errors
from rkllm_twisted.errors import BY_CODE, HTTPError, RPCError, Unreachable
from rkllm_twisted.http.error_bodies import BODIES, headers_of
from rkllm_twisted.http.error_table import http_error

CASES: list[tuple[Exception, int, str | None, bool | None]] = [
    (errors.InvalidParams("m"), 400, None, None),
    (errors.InvalidParams("m", {"reason": "context_length"}), 400, "context_length_exceeded", None),
    (
        errors.InvalidParams("m", {"parameter": "model", "close": []}),
        404,
        "model_not_found",
        None,
    ),
    (errors.RuntimeRefused("m"), 500, "runtime_refused", False),
    (errors.NoModel("m"), 503, "no_model", False),
    (errors.Busy("m"), 503, "overloaded", True),
    (errors.TimedOut("m"), 504, "timed_out", False),
    (errors.RuntimeCrashed("m"), 500, "runtime_crashed", False),
    (errors.NotAllowed("m"), 403, "not_allowed", None),
    (errors.NotInRelease("m"), 501, "not_supported", False),
    (errors.MethodNotFound("m"), 501, "not_supported", False),
    (errors.Cancelled("m"), 503, "cancelled", False),
    (errors.ShuttingDown("m"), 503, "overloaded", True),
    (errors.InternalError("m"), 500, None, False),
    (errors.InternalError("m", {"package": "jinja2"}), 501, "not_installed", False),
    (errors.RemoteError(-1, "m"), 500, None, False),
    (errors.NoDaemon("m"), 503, "daemon_unavailable", True),
    (errors.Disconnected("m"), 503, "daemon_unavailable", True),
    (errors.NoAnswer("m"), 504, "timed_out", False),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"), CASES, ids=[type(case[0]).__name__ for case in CASES]
)
def test_an_error_has_its_status_and_code(
    error: RPCError | Unreachable, status: int, code: str | None, retry: bool | None
) -> None:
    made = http_error(error)
    assert (made.status, made.code, made.should_retry) == (status, code, retry)


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_every_error_of_the_wire_has_a_row(kind: type[RPCError]) -> None:
    assert 400 <= http_error(kind("m")).status < 600


def test_a_field_has_the_name_that_the_client_knows() -> None:
    error = errors.InvalidParams("m", {"parameter": "max_new_tokens"})
    assert http_error(error).param == "max_tokens"


def test_the_text_for_a_crash_stays() -> None:
    assert "was killed" in str(http_error(errors.NoModel.after("was killed by signal 11")))


def test_a_crash_has_advice_for_clients_of_http() -> None:
    error = errors.RuntimeCrashed("It was killed by SIGSEGV; load the model with rkllm.init.")
    expected = "It was killed by SIGSEGV; a request that names a model has it loaded again."
    assert str(http_error(error)) == expected


def test_a_busy_daemons_client_hears_when_to_try_again() -> None:
    assert headers_of(http_error(errors.Busy("m"))) == {
        "Retry-After": "2",
        "x-should-retry": "true",
    }


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 429, 500, 501, 503, 504])
def test_each_api_has_its_form(status: int) -> None:
    error = HTTPError(status, "No.", "kind", "code", param="p")
    openai, ollama, anthropic = (BODIES[name](error) for name in ("openai", "ollama", "anthropic"))
    assert openai == {"error": {"message": "No.", "type": "kind", "param": "p", "code": "code"}}
    assert ollama == {"error": "No."}
    assert anthropic["type"] == "error"

"""The three formats of the log; text from a client cannot look like a separate event."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import (
    Logger,
    LogLevel,
    LogPublisher,
    formatEventAsClassicLogText,
    formatTime,
)
from twisted.python import log as old_log
from twisted.python.failure import Failure

from rkllm_twisted.daemon.log_formats import LEVELS, Observer, as_json, as_text, observer_for
from rkllm_twisted.rpc.access_log import RawJSON


class Written:
    """A log in one format."""

    def __init__(self, form: str, level: str = "debug") -> None:
        self._out = io.StringIO()
        self.publisher = LogPublisher(Observer(self._out, form, level))
        self.log = Logger("some.where", observer=self.publisher)

    @property
    def text(self) -> str:
        """Return the whole text."""
        return self._out.getvalue()

    @property
    def lines(self) -> list[str]:
        """Return the lines."""
        return self.text.splitlines()

    @property
    def objects(self) -> list[Any]:
        """Parse the lines as JSON."""
        return [json.loads(line) for line in self.lines]


def failure() -> Failure:
    """Make a Failure."""
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        return Failure()


def test_text_says_when_where_how_important_and_what() -> None:
    """The text format is twistd's."""
    written = Written("text")
    written.log.warn("client {client} is late", client=3)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[some\.where#warn\] client 3 is late\n",
        written.text,
    )


def test_json_has_the_fields_by_name() -> None:
    """Time, level, logger and message have their own members; other fields are JSON if possible."""
    written = Written("json")
    written.log.info("{a} ran", a="x", tokens=7, none=None, ok=True, path=Path("/p"), seconds=0.5)
    [found] = written.objects
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d{4}", found.pop("time"))
    assert found == {
        "level": "info",
        "logger": "some.where",
        "message": "x ran",
        "a": "x",
        "tokens": 7,
        "none": None,
        "ok": True,
        "path": "/p",
        "seconds": 0.5,
    }


def test_json_is_a_line_whatever_is_in_it() -> None:
    """An event may have half a surrogate pair, or fields with the names of the log's own."""
    written = Written("json")
    written.log.info("{x}", x="a\nb\ud800", logger="mine", message="mine", time="mine")
    [found] = written.objects
    assert (found["logger"], found["x"]) == ("some.where", "a\nb\\ud800")
    assert found["time"] != "mine"


@pytest.mark.parametrize(
    ("level", "number"), [("debug", 7), ("info", 6), ("warn", 4), ("error", 3), ("critical", 2)]
)
def test_journald_reads_the_level_from_each_line(level: str, number: int) -> None:
    """Each further line of an event has the level, too; the journal adds the time."""
    written = Written("journald")
    written.log.emit(LogLevel.lookupByName(level), "{text}", text="one\ntwo")
    assert written.lines == [f"<{number}>[some.where] one", f"<{number}>\ttwo"]


FAKE = "x\n2026-01-01T00:00:00+0000 [fake#error] fake\r\n<2>[fake] fake"


#: ESC, NUL, DEL, CSI and NEL of C1, a line separator, a change of the writing direction.
CONTROLS = "\x1b\0\x7f\x9b\x85\u2028\u2029\u202e\u2066\u200f"


@pytest.mark.parametrize("form", ["text", "json", "journald"])
def test_what_a_terminal_would_act_on_is_escaped(form: str) -> None:
    """Every format escapes control characters and leaves printable ones."""
    written = Written(form)
    written.log.info("no method {method} für 模型", method=f"a{CONTROLS}z")
    assert not set(CONTROLS) & set(written.text)
    assert written.text.isprintable() or written.text[:-1].isprintable()
    assert "für 模型" in written.text
    assert "\\x1b" in written.text or "\\u001b" in written.text


def test_json_means_the_same_with_its_escapes() -> None:
    """A program reads exactly the client's text."""
    written = Written("json")
    written.log.info("no method", method=f"a{CONTROLS}\U000e0001z")
    assert written.objects[0]["method"] == f"a{CONTROLS}\U000e0001z"


@pytest.mark.parametrize("raw", ["2", '"2"', "1e400", "123456789012345678901234567890", "null"])
def test_an_id_is_in_the_json_as_it_was_sent(raw: str) -> None:
    """Large numbers stay numbers, and strings stay strings."""
    written = Written("json")
    written.log.info("request", id=RawJSON(raw))
    assert f'"id":{raw}' in written.text


@pytest.mark.parametrize("form", ["text", "journald"])
def test_a_newline_in_a_word_begins_no_line_of_the_log(form: str) -> None:
    """Text from a client may be logged, but never looks like an event."""
    written = Written(form)
    written.log.info("no method {method}", method=FAKE)
    assert len(written.lines) == 3
    assert "\r" not in written.text.replace("\\r", "")
    for line in written.text.split("\n")[1:-1]:
        assert line.startswith(("\t", "<6>\t"))


@pytest.mark.parametrize("form", ["text", "json", "journald"])
def test_a_failure_has_its_traceback(form: str) -> None:
    """The traceback is a member of its own, or further lines."""
    written = Written(form)
    written.log.failure("it failed", failure=failure())
    if form == "json":
        [found] = written.objects
        assert (found["level"], found["message"]) == ("critical", "it failed")
        assert "ZeroDivisionError: by zero" in found["traceback"]
    else:
        assert "it failed" in written.lines[0]
        assert any("ZeroDivisionError: by zero" in line for line in written.lines[1:])


@pytest.mark.parametrize("form", ["text", "json", "journald"])
def test_old_style_events_are_taken_too(form: str) -> None:
    """Parts of Twisted still use twisted.python.log."""
    out = io.StringIO()
    observer = Observer(out, form)
    publisher = old_log.LogPublisher(publishPublisher=LogPublisher(observer))
    publisher.msg("hello from old")
    assert "hello from old" in out.getvalue()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_takes_itself_and_what_is_more_important(level: str) -> None:
    """Lower levels are left out."""
    written = Written("text", level)
    for each in LEVELS:
        written.log.emit(LogLevel.lookupByName(each), "x")
    assert (
        [re.search(r"#(\w+)\]", line)[1] for line in written.lines]
        == list(  # type: ignore[index]
            LEVELS[LEVELS.index(level) :]
        )
    )


def twistd(**options: object) -> dict[str, object]:
    """Make twistd's own log options."""
    return {"nodaemon": True, "logfile": None, **options}


def test_a_daemon_that_cannot_write_to_stdout_is_twistds_to_refuse() -> None:
    """The daemon leaves the error message to twistd."""
    assert observer_for(twistd(nodaemon=False, logfile="-"), "json", "info") is None


def test_a_file_is_written_to_where_twistd_would(tmp_path: Path) -> None:
    """twistd's option is --logfile."""
    observer = observer_for(twistd(logfile=str(tmp_path / "log")), "json", "info")
    assert observer is not None
    Logger("some.where", observer=observer).info("hello")
    assert json.loads((tmp_path / "log").read_text())["message"] == "hello"
    observer._out.close()


@pytest.mark.parametrize(
    "form",
    [
        "plain",
        "{{braces}} in {text}",
        "a } alone",
        "two\nlines",
        "ä\x1b",
        b"bytes {text}",
    ],
)
@pytest.mark.parametrize("moment", [1.0, 1795842073.2364733, 1795842073.9999, 1795842074.0])
def test_a_line_is_what_twisteds_own_formatter_writes(form: Any, moment: float) -> None:
    """The short cuts change no byte; what Twisted does not escape is escaped as before."""
    event = {
        "log_format": form,
        "text": "x",
        "log_namespace": "rkllm.requests",
        "log_level": LogLevel.info,
        "log_time": moment,
    }
    ours, theirs = as_text(event), formatEventAsClassicLogText(event)
    assert theirs is not None
    assert ours == theirs.replace("\x1b", "\\x1b")
    assert ours.startswith(f"{formatTime(moment)} [rkllm.requests#info] ")


def test_the_time_of_each_second_is_its_own() -> None:
    """A kept second is not used for another one, nor for another form."""
    event = {"log_format": "x", "log_namespace": "n", "log_level": LogLevel.info}
    for second in (10.0, 10.9, 11.0, 10.5, 90000.0):
        line = as_text({**event, "log_time": second})
        assert line == formatEventAsClassicLogText({**event, "log_time": second})
        assert formatTime(second)[:19] in as_json({**event, "log_time": second})


@pytest.mark.parametrize(("level", "is_there"), [("debug", True), ("info", False)])
def test_what_is_said_at_each_attempt_to_connect_is_for_debugging(
    level: str, is_there: bool
) -> None:
    """A bridge tries twice a second; it says once what it does not reach."""
    written = Written("text", level)
    retry = "Scheduling retry {attempt} to connect {endpoint} in {delay} seconds."
    written.log.info(retry, attempt=1, endpoint="x", delay=0.5)
    assert bool(written.text) is is_there

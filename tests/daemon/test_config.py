"""The settings file: its keys, their precedence, and the errors for mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.python.usage import UsageError

from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.settings import read_file

EXAMPLE = Path(__file__).parents[2] / "etc" / "rkllm.toml"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in SETTINGS.items():
        monkeypatch.delenv(setting.variable_of(name), raising=False)


class File:
    """A settings file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def parsed(self, text: str, *arguments: str) -> Options:
        """Parse the file together with a command line."""
        self.path.write_text(text)
        options = Options()
        options.parseOptions([f"--config={self.path}", *arguments])
        return options

    def refusal(self, text: str) -> str:
        """Return the error for the file."""
        with pytest.raises(UsageError) as caught:
            self.parsed(text)
        return str(caught.value).replace(str(self.path), "FILE")


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Make a settings file."""
    return File(tmp_path / "rkllm.toml")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('socket = "/x"', "socket", "/x"),
        ('mode = "0660"', "mode", 0o660),
        ("queue = 7", "queue", 7),
        ('queue = "7"', "queue", 7),
        ('max-message = "3K"', "max-message", 3072),
        ("max-message = 4096", "max-message", 4096),
        ("token-timeout = 0.5", "token-timeout", 0.5),
        ("native-async = true", "native-async", True),
        ("native-async = false", "native-async", False),
        ('allow-uid = ["root", 7]', "allow-uid", (0, 7)),
        ('allow-uid = "root"', "allow-uid", (0,)),
        ("allow-uid = 7", "allow-uid", (7,)),
        ('model-dir = ["/", "/tmp"]', "model-dir", ("/", "/tmp")),
        ("", "queue", 64),
    ],
)
def test_a_setting_may_stand_in_the_file(file: File, text: str, name: str, value: object) -> None:
    """Numbers are numbers, and several values are a list."""
    assert file.parsed(text)[name] == value


def test_the_order_is_option_environment_file_default(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value records its source."""
    text = "queue = 1\nmax-clients = 1\nmax-requests = 1\nnative-async = true\nallow-uid = [1, 2]"
    monkeypatch.setenv("RKLLM_MAX_CLIENTS", "2")
    monkeypatch.setenv("RKLLM_MAX_REQUESTS", "2")
    monkeypatch.setenv("RKLLM_NATIVE_ASYNC", "no")
    options = file.parsed(text, "--max-requests=3", "--allow-uid=3")
    assert [options[n] for n in ("queue", "max-clients", "max-requests")] == [1, 2, 3]
    assert options["native-async"] is False
    assert options["allow-uid"] == (3,)
    assert options["token-timeout"] == 60
    assert options.sources == {
        "config": "--config",
        "queue": f"queue in {file.path}",
        "max-clients": "RKLLM_MAX_CLIENTS",
        "max-requests": "--max-requests",
        "native-async": "RKLLM_NATIVE_ASYNC",
        "allow-uid": "--allow-uid",
    }


def test_the_environment_may_name_the_file(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is RKLLM_CONFIG."""
    file.path.write_text("queue = 5")
    monkeypatch.setenv("RKLLM_CONFIG", str(file.path))
    options = Options()
    options.parseOptions([])
    assert options["queue"] == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "max_clients = 1",
            "FILE: there is no setting 'max_clients'; perhaps max-clients is meant.",
        ),
        ("Queue = 1", "FILE: there is no setting 'Queue'; perhaps queue is meant."),
        ("alow-uid = 1", "FILE: there is no setting 'alow-uid'; perhaps allow-uid is meant."),
        ("zebra = 1", "FILE: there is no setting 'zebra'; docs/configuration.md has all."),
        (
            "[limits]\nqueue = 1",
            "FILE: there is no setting 'limits'; docs/configuration.md has all.",
        ),
        ("check = true", "FILE: check is for the command line only."),
        ('config = "x"', "FILE: config is for the command line only."),
        ("queue = 0", "queue in FILE must be a whole number from 1, not '0'."),
        ("queue = true", "queue in FILE must be a number, or text in quotes, not True."),
        ("queue = [1]", "queue in FILE must be a number, or text in quotes, not [1]."),
        ("mode = 0o600", "mode in FILE must be text in quotes, not 384."),
        ("native-async = 1", "native-async in FILE must be true or false, not 1."),
        ('native-async = "yes"', "native-async in FILE must be true or false, not 'yes'."),
        ("allow-uid = [[1]]", "allow-uid in FILE must be a number, or text in quotes, not [1]."),
        ("allow-uid = []", "allow-uid in FILE names nothing; leave it out if that is meant."),
        ("token-timeout = inf", "token-timeout in FILE must be a number of seconds above 0, not"),
        ("queue = ", "FILE is not TOML: Invalid value"),
        ("queue = 1\nqueue = 2", "FILE is not TOML: Cannot overwrite a value"),
        ('socket = "\ud800"', "FILE is not TOML: 'utf-8' codec can't decode"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(file: File, text: str, said: str) -> None:
    """The error also gives the place."""
    if "\ud800" in text:
        file.path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(UsageError) as caught:
            read_file(str(file.path), SETTINGS, [])
        assert str(caught.value).replace(str(file.path), "FILE").startswith(said)
    else:
        assert file.refusal(text).startswith(said)


def test_all_mistakes_are_named(file: File) -> None:
    """The mistakes are in the file, in its values, and on the command line."""
    file.path.write_text('queu = 1\nmode = 384\nmax-clients = 0\nsocket = "/x"')
    with pytest.raises(UsageError) as caught:
        Options().parseOptions([f"--config={file.path}", "--token-timeout=soon"])
    assert str(caught.value).replace(str(file.path), "FILE").splitlines() == [
        "FILE: there is no setting 'queu'; perhaps queue is meant.",
        "mode in FILE must be text in quotes, not 384.",
        "--token-timeout must be a number of seconds above 0, not 'soon'.",
        "max-clients in FILE must be a whole number from 1, not '0'.",
    ]


@pytest.mark.parametrize(("path", "reason"), [("missing", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: str, reason: str) -> None:
    """The error gives the reason."""
    with pytest.raises(UsageError, match=f"^--config: {tmp_path / path}: {reason}"):
        read_file(str(tmp_path / path), SETTINGS, [])


def test_an_empty_list_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list would admit every user."""
    monkeypatch.setenv("RKLLM_ALLOW_UID", ",")
    with pytest.raises(UsageError, match="^RKLLM_ALLOW_UID names nothing; leave it out"):
        Options().parseOptions([])


def lines_of_the_example() -> list[str]:
    """Return the settings in the example's comments."""
    lines = EXAMPLE.read_text().splitlines()
    return [line[1:] for line in lines if line.startswith("#") and line[1:2].islower()]


def test_the_example_as_it_is_changes_nothing() -> None:
    """All settings are comments."""
    assert read_file(str(EXAMPLE), SETTINGS, []) == {}


def test_every_line_of_the_example_is_right(file: File) -> None:
    """Every setting is there, with a valid value: the default if it has one."""
    file.path.write_text("\n".join(lines_of_the_example()))
    found = read_file(str(file.path), SETTINGS, [])
    assert list(found) == [name for name, setting in SETTINGS.items() if setting.in_file]
    directories, users = {"model-dir", "cache-dir"}, {"owner", "group", "allow-uid", "allow-gid"}
    not_everywhere = {*directories, *users, "admin-gid"}
    for name, texts in found.items():
        setting = SETTINGS[name]
        if name not in not_everywhere:
            value: Any = setting.value(name, texts)
            assert setting.default is None or value == setting.value(name, [setting.default])

"""The options: their syntax, their defaults, and the errors for wrong values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from rkllm_twisted.daemon.assembly import limits_of
from rkllm_twisted.daemon.coercions import size, size_text
from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.npu.queue import QUEUE_LIMIT
from rkllm_twisted.rpc.limits import Limits

ROOT = Path(__file__).parents[2]
README, CONFIGURATION = ROOT / "README.md", ROOT / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in SETTINGS.items():
        monkeypatch.delenv(setting.variable_of(name), raising=False)


def parsed(*arguments: str) -> Options:
    """Parse a command line."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


def test_the_defaults_are_those_of_the_parts() -> None:
    """An application that embeds the parts gets the same defaults."""
    options = parsed()
    assert limits_of(options) == Limits()
    assert options["queue"] == QUEUE_LIMIT
    assert options["max-clients"] == 100


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("64M", 64 << 20), ("1g", 1 << 30), ("3K", 3072), ("2MiB", 2 << 20), ("5kb", 5120)],
)
def test_sizes_are_written_as_people_write_them(text: str, number: int) -> None:
    """Sizes are bytes or powers of 1,024."""
    assert parsed(f"--max-unread={text}")["max-unread"] == number


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1"), (1023, "1023"), (3072, "3K"), (64 << 20, "64M"), (2 << 30, "2G")]
)
def test_a_size_is_shown_in_its_largest_unit(number: int, text: str) -> None:
    """The help and the documentation show defaults in this form."""
    assert size_text(number) == text
    assert size(text) == number


def test_every_limit_reaches_the_connections() -> None:
    """Each limit keeps its name."""
    limits = limits_of(
        parsed(
            "--max-message=2M",
            "--max-unparsed=3M",
            "--max-requests=4",
            "--max-unread=5K",
            "--unread-timeout=0.5",
            "--max-clients-per-user=6",
            "--max-unread-total=7M",
            "--message-timeout=8",
        )
    )
    assert limits == Limits(
        max_length=2 << 20,
        max_unparsed=3 << 20,
        max_requests=4,
        max_unread=5 << 10,
        unread_timeout=0.5,
        max_clients_per_user=6,
        max_unread_total=7 << 20,
        message_timeout=8,
    )


@pytest.mark.parametrize("text", ["/run/x.sock", "unix:/run/x.sock", "unix:path=/run/x.sock"])
def test_the_sockets_variable_means_the_same_to_clients(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients accept the variable with and without an endpoint's prefix."""
    monkeypatch.setenv("RKLLM_UDS_PATH", text)
    assert parsed()["socket"] == "/run/x.sock"


WRONG = {
    "max-message": ["", "0", "-1", "64X", "1.5M", "M", "٣", "lots"],
    "max-unparsed": ["0", "1T"],
    "max-unread": ["0K", "nan"],
    "max-requests": ["0", "-8", "8.5", "eight"],
    "max-clients": ["0"],
    "queue": ["0", "x"],
    "unread-timeout": ["0", "-1", "nan", "inf", "soon"],
    "history": ["", "Shared", "everybody"],
    "mode": ["1000", "rw"],
    "owner": ["", "no such user", "-1"],
    "group": ["", "no such group"],
}


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in WRONG.items() for t in texts])
def test_a_wrong_value_is_refused_by_the_name_of_its_option(name: str, text: str) -> None:
    """The error is one sentence with the valid values and the given one."""
    with pytest.raises(UsageError) as caught:
        parsed(f"--{name}={text}")
    assert re.fullmatch(
        rf"--{name} must be [^\n]*, not {re.escape(repr(text))}\.", str(caught.value)
    )


@pytest.mark.parametrize("text", ["root", "0"])
def test_users_and_groups_have_names_and_numbers(text: str) -> None:
    """Both forms are accepted."""
    options = parsed(f"--owner={text}", f"--group={text}")
    assert (options["owner"], options["group"]) == (0, 0)


def test_a_wrong_value_from_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error does not name an option that was not given."""
    monkeypatch.setenv("RKLLM_MAX_CLIENTS", "none")
    with pytest.raises(UsageError, match="^RKLLM_MAX_CLIENTS must be a whole number from 1,"):
        parsed()
    assert parsed("--max-clients=7")["max-clients"] == 7


def test_all_messages_together_may_not_be_less_than_one() -> None:
    """Otherwise no message of the maximum size could arrive."""
    with pytest.raises(UsageError, match="--max-unparsed must not be less than --max-message"):
        parsed("--max-message=1G")


def rows(page: Path) -> dict[str, str]:
    """Read a page's table of options: name -> default."""
    return dict(re.findall(r"^\| `--([a-z-]+)[^`]*` \|.*\| ([^|]+) \|$", page.read_text(), re.M))


def test_the_page_names_every_option_with_its_default() -> None:
    """Each option has one row."""
    defaults = rows(CONFIGURATION)
    assert set(defaults) == set(SETTINGS)
    for name, setting in SETTINGS.items():
        assert (setting.default or setting.otherwise or "") in defaults[name]


def test_the_readmes_options_are_there_with_their_defaults() -> None:
    """The README shows the options that a new user needs."""
    defaults = rows(README)
    assert len(defaults) > 3
    for name, default in defaults.items():
        assert (SETTINGS[name].default or "") in default


def test_the_help_has_the_order_of_the_table() -> None:
    """Some sentences refer to the option before."""
    shown = re.findall(r"^  (?:-., |    )--([a-z-]+)", parsed().getUsage(), re.MULTILINE)
    assert shown == [*SETTINGS, "version", "help"]


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_help_fits_the_terminal(width: int) -> None:
    """A very narrow terminal gets lines of 20 columns beside the options."""
    widest = max(map(len, parsed().getUsage(width).splitlines()))
    assert widest <= max(width, len("      --max-clients-per-user=  ") + 20)


def test_an_option_may_be_given_several_times() -> None:
    """All values of such an option count, and numbers stay numbers."""
    options = parsed("--allow-uid=0", "--allow-uid=65000", "--admin-gid=root")
    assert options["allow-uid"] == (0, 65000)
    assert options["admin-gid"] == (0,)
    assert options["allow-gid"] == ()


def test_the_environment_separates_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas separate them; an option overrides all of them."""
    monkeypatch.setenv("RKLLM_ALLOW_UID", "0,65000")
    assert parsed()["allow-uid"] == (0, 65000)
    assert parsed("--allow-uid=7")["allow-uid"] == (7,)


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("1", True), ("no", False)])
def test_a_flag_may_come_from_the_environment(
    text: str, value: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its value is a word."""
    monkeypatch.setenv("RKLLM_NATIVE_ASYNC", text)
    assert parsed()["native-async"] is value
    assert parsed("--native-async")["native-async"] is True


def test_a_user_who_does_not_exist_is_refused_by_name() -> None:
    """A misspelt name must not admit another user."""
    with pytest.raises(UsageError) as caught:
        parsed("--allow-uid=nobody-of-this-name")
    assert "--allow-uid must be the name or number of a user, not" in str(caught.value)


def test_a_model_directory_is_there(tmp_path: Path) -> None:
    """Otherwise the daemon does not start."""
    assert parsed(f"--model-dir={tmp_path}", "--model-dir=/")["model-dir"] == (str(tmp_path), "/")
    with pytest.raises(UsageError) as caught:
        parsed(f"--model-dir={tmp_path}/missing")
    assert "--model-dir must be a directory that is there, not " in str(caught.value)

"""The command accepts natural input, and leaves to the daemon what only the daemon knows."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from other_users import SOMEBODY, acting_as, needs_root, open_directory
from rkllm_command import is_one_sentence, rkllm

from rkllm_twisted.cli import doctor, init, main, run, status
from rkllm_twisted.errors import InvalidParams, LibraryError
from rkllm_twisted.testing import FakeDaemon

#: Import these before a test acts as another user, because that user may not read the files.
LOADED = (doctor, init, run, status)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Start a daemon that records its requests."""
    daemon = FakeDaemon(default=lambda prompt: f"<{prompt}>")
    with daemon.listening(str(tmp_path / "s.sock")) as path:
        vars(daemon)["path"] = path
        yield daemon


def on(fake: FakeDaemon, *words: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run the command against the daemon."""
    return rkllm(*words, "-s", vars(fake)["path"], **kwargs)


def loads(fake: FakeDaemon) -> int:
    """Return how often a model was loaded."""
    return sum(call.method == "rkllm.init" for call in fake.calls)


def test_a_prompt_may_be_several_words(fake: FakeDaemon, tmp_path: Path) -> None:
    """The words are joined as by echo."""
    on(fake, "init", str(tmp_path / "m"))
    assert on(fake, "run", "hello", "there").stdout == "<hello there>\n"


def test_a_model_that_is_loaded_is_not_loaded_again(fake: FakeDaemon, tmp_path: Path) -> None:
    """Another load would take minutes on a board and clear every client's history."""
    model, link = tmp_path / "m.rkllm", tmp_path / "link.rkllm"
    model.touch()
    link.symlink_to(model)
    for path in (model, model, link):
        assert on(fake, "run", "--model", str(path), "hi").stdout == "<hi>\n"
    assert loads(fake) == 1
    on(fake, "run", "--model", str(model), "--reload", "hi")
    assert loads(fake) == 2
    on(fake, "run", "--model", str(tmp_path / "other"), "hi")
    assert loads(fake) == 3


@pytest.mark.parametrize("ends", ["\ufeffhi", "hi\r\n", "\ufeffhi\r\n"])
def test_marks_of_other_systems_are_removed(fake: FakeDaemon, tmp_path: Path, ends: str) -> None:
    """A byte order mark and CR would become tokens of the prompt."""
    on(fake, "init", str(tmp_path / "m"))
    file = tmp_path / "prompt.txt"
    file.write_bytes(ends.encode())
    on(fake, "run", "--file", str(file))
    assert fake.calls[-1].params["rkllm_input"]["prompt_input"].strip("\n") == "hi"  # type: ignore[index, call-overload]


def test_dotted_names_set_fields_of_inner_structures(fake: FakeDaemon, tmp_path: Path) -> None:
    """Whole structures may be given as well."""
    names = ["-p", "extend_param.base_domain_id=1", "-p", "extend_param.n_batch=2", "-p", "top_k=1"]
    assert on(fake, "init", str(tmp_path / "m"), *names).returncode == 0
    param = fake.calls[-1].params["param"]  # type: ignore[index, call-overload]
    assert param["extend_param"] == {"base_domain_id": 1, "n_batch": 2}
    assert param["top_k"] == 1


@pytest.mark.parametrize("wrong", ["a", "=1", "a.=1", ".a=1"])
def test_what_is_no_assignment_is_refused(wrong: str) -> None:
    """The command needs no daemon for that."""
    done = rkllm("run", "-p", wrong, "hi")
    assert done.returncode == 2
    assert "is not NAME=VALUE" in done.stderr


def test_a_value_and_a_field_of_it_clash() -> None:
    """The error names the value."""
    done = rkllm("run", "-p", "a=1", "-p", "a.b=2", "hi")
    assert "'a' has a value already" in done.stderr


def test_call_reads_parameters_from_a_file_and_from_stdin(fake: FakeDaemon, tmp_path: Path) -> None:
    """Long parameters do not fit an argument."""
    params = {"param": {"model_path": str(tmp_path / "m")}}
    file = tmp_path / "params.json"
    file.write_text("\ufeff" + json.dumps(params))
    ways = [("--file", str(file)), ("--file", "-"), ("-",)]
    for way in ways:
        done = on(fake, "call", "rkllm.init", *way, input=json.dumps(params))
        assert done.returncode == 0, done.stderr
        assert fake.calls[-1].params == params
    assert on(fake, "call", "rkllm.init", "{}", "--file", str(file)).returncode == 2


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("load", "rkllm init"),
        ("serve", "twistd -n rkllm"),
        ("list", "rkllm models"),
        ("ps", "rkllm status"),
        ("stop", "rkllm destroy"),
        ("show", "rkllm models NAME"),
    ],
)
def test_a_familiar_command_is_explained(command: str, word: str) -> None:
    """One sentence names the right command."""
    done = rkllm(command, "x")
    assert done.returncode == 2
    assert is_one_sentence(done.stderr)
    assert word in done.stderr


@needs_root
def test_a_socket_of_another_group_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 9, and the error names the group to join; doctor runs and says so, too."""

    def probe(*_: object) -> None:  # the real one starts a Python that this user may not run
        raise LibraryError("There is no library.")

    monkeypatch.setattr(doctor, "probe", probe)
    with open_directory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = folder / "s.sock"
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o660)
        with acting_as(SOMEBODY), pytest.raises(SystemExit) as left:
            main(["status", "-s", str(path)])
        assert left.value.code == 9
        assert "Only members of the group root may use" in capsys.readouterr().err
        with acting_as(SOMEBODY), pytest.raises(SystemExit) as left:
            main(["doctor", "-s", str(path), "--library", "cpu", "--http", "http://127.0.0.1:1"])
        assert left.value.code == 1
        assert "Only members of the group root may use" in capsys.readouterr().out


@needs_root
def test_a_model_that_only_the_daemon_may_read_is_loaded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The daemon opens the file, and the command does not."""
    with open_directory() as folder:
        model, path = folder / "m.rkllm", folder / "s.sock"
        model.touch(0o600)
        with FakeDaemon(options=["--mode", "0666"]).listening(str(path)):
            with acting_as(SOMEBODY), pytest.raises(SystemExit) as left:
                main(["init", "-s", str(path), str(model)])
            assert left.value.code == 0, capsys.readouterr().err
            with acting_as(SOMEBODY), pytest.raises(SystemExit) as left:
                main(["run", "-s", str(path), "--model", str(model), "hi"])
            assert left.value.code == 0, capsys.readouterr().err


def test_a_file_that_the_daemon_cannot_see_is_explained(fake: FakeDaemon, tmp_path: Path) -> None:
    """The error names the daemon's user and process, and the directory for models."""
    model = tmp_path / "m.rkllm"
    (tmp_path / "directory").mkdir()
    refusal = InvalidParams("param.model_path: no such file.", {"parameter": "param.model_path"})
    fake.faults["rkllm.init"] = refusal
    assert "The file exists" not in on(fake, "init", str(model)).stderr
    model.touch()
    done = on(fake, "init", str(model))
    user = pwd.getpwuid(os.getuid()).pw_name
    assert done.returncode == 1
    assert f"the daemon ({user}, process {os.getpid()}) cannot use it" in done.stderr
    assert "/var/lib/rkllm/models" in done.stderr
    assert is_one_sentence(done.stderr)
    # A path that this user cannot use either, and a file that the daemon has read, need no hint.
    for name in ("directory", "n" * 300):
        assert "The file exists" not in on(fake, "init", f"{tmp_path}/{name}").stderr
        assert "no such file. (-32602)" in on(fake, "init", f"{tmp_path}/{name}").stderr
    data = {"parameter": "param.model_path", "kind": "lfs-pointer"}
    fake.faults["rkllm.init"] = InvalidParams("param.model_path: m is a Git LFS pointer.", data)
    assert "The file exists" not in on(fake, "init", str(model)).stderr

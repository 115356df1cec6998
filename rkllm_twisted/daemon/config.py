"""The file of ``--config``: TOML, with the options' names as keys."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from twisted.python import usage

from rkllm_twisted.daemon.setting import Setting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: str, settings: Mapping[str, Setting]) -> Mapping[str, Sequence[str]]:
    """Read a file.

    :param settings: those that there are, by name.
    :returns: for each setting that is in it, the texts that would stand for it on a command line.
    :raises usage.UsageError: it cannot be read, is no TOML, or has something that is no setting.
    """
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise usage.UsageError(f"--config: {path}: {error.strerror}.") from None
    except ValueError as error:  # of TOML as of UTF-8
        raise usage.UsageError(f"{path} is not TOML: {error}.") from None
    for name in values:
        if name not in settings or not settings[name].in_file:
            raise _unknown(path, name, settings)
    return {
        name: list(_texts(f"{name} in {path}", settings[name], value))
        for name, value in values.items()
    }


def _unknown(path: str, name: str, settings: Mapping[str, Setting]) -> usage.UsageError:
    if name in settings:
        return usage.UsageError(f"{path}: {name} is for the command line only.")
    known = [other for other, setting in settings.items() if setting.in_file]
    close = difflib.get_close_matches(name.lower().replace("_", "-"), known, 1)
    hint = f"; perhaps {close[0]} is meant" if close else "; docs/configuration.md has all"
    return usage.UsageError(f"{path}: there is no setting {name!r}{hint}.")


def _texts(source: str, setting: Setting, value: object) -> Iterator[str]:
    if setting.is_flag:
        if not isinstance(value, bool):
            raise usage.UsageError(f"{source} must be true or false, not {value!r}.")
        yield "yes" if value else "no"
    elif setting.separator and isinstance(value, list):
        for item in value:
            yield _text(source, setting, item)
    else:
        yield _text(source, setting, value)


def _text(source: str, setting: Setting, value: object) -> str:
    if isinstance(value, str):
        return value
    if setting.is_number and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    wanted = "a number, or text in quotes" if setting.is_number else "text in quotes"
    raise usage.UsageError(f"{source} must be {wanted}, not {value!r}.")

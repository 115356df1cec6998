"""Renders docs/configuration.md: the table of the options as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from words import table

from rkllm_twisted.daemon.settings import Setting

INTRODUCTION = """\
# Configuration

<!-- Made by docs/generate.py of the table in rkllm_twisted/daemon/option_table.py: change that. -->

Every option of `twistd rkllm`. The value comes from the first of these places that has one:

1. the command line, after `rkllm`;
2. the environment; an empty variable counts as none;
3. the TOML file of `--config`, under the option's name without the dashes;
4. the default.

A flag is `yes` or `no` in the environment, `true` or `false` in the file. An option that may be
repeated takes all its values from one place; in the file they are a list. The file may have numbers
as numbers, but the mode must be a string: `"0600"`. [etc/rkllm.toml](../etc/rkllm.toml) has every
key, commented out.

The daemon refuses an unknown key and a wrong value by name. `--check` checks the settings, the
library, the plugins and the socket's directory, prints what the daemon would do and which settings
are not the defaults, and exits: with 0 if the daemon would start. It disturbs no running daemon.

```sh
twistd -n rkllm --config etc/rkllm.toml --library cpu --check
```
"""
HTTP_INTRODUCTION = """\
# Options of the HTTP service

<!-- Made by docs/generate.py of rkllm_twisted/http_service/option_table.py: change that. -->

Every option of `twistd rkllm-http` ([the page about it](http.md)). The value comes from the first
of these places that has one: the command line, the environment, the TOML file of `--config`, the
default. They are written as those of [the daemon](configuration.md) are;
[etc/rkllm-http.toml](../etc/rkllm-http.toml) has every key, commented out.
"""
HTTP_EXAMPLE = """\
# Settings of `twistd rkllm-http`: twistd -n rkllm-http --config rkllm-http.toml
# Made by docs/generate.py. Each line shows the default, or an example where there is none.
# Options and environment variables override this file; see docs/http-options.md.
"""
FLEET_INTRODUCTION = """\
# Options of a fleet

<!-- Made by docs/generate.py of rkllm_twisted/fleet_service/*_options.py: change those. -->

Every option of `twistd rkllm-board`, the bridge of a board, and of `twistd rkllm-fleet`, the front
([the page about fleets](fleet.md)). The value comes from the first of these places that has one:
the command line, the environment, the TOML file of `--config`, the default. They are written as
those of [the daemon](configuration.md) are; [etc/rkllm-board.toml](../etc/rkllm-board.toml) and
[etc/rkllm-fleet.toml](../etc/rkllm-fleet.toml) have every key, commented out.

## The bridge of a board
"""
FRONT_INTRODUCTION = """
## The front
"""
BOARD_EXAMPLE = """\
# Settings of `twistd rkllm-board`: twistd -n rkllm-board --config rkllm-board.toml
# Made by docs/generate.py. Each line shows the default, or an example where there is none.
# Options and environment variables override this file; see docs/fleet-options.md.
"""
FRONT_EXAMPLE = BOARD_EXAMPLE.replace("rkllm-board", "rkllm-fleet")
EXAMPLE = """\
# Settings of `twistd rkllm`: twistd -n rkllm --config rkllm.toml
# Made by docs/generate.py. Each line shows the default, or an example where there is none.
# Options and environment variables override this file; see docs/configuration.md.
"""
#: Settings without a default -> a value to show in the example, as TOML.
SHOWN: Mapping[str, str] = {
    "api-key-file": '"/etc/rkllm/http-keys"',
    "cors-origin": '["https://chat.example"]',
    "router": '"wss://router.lan:9000"',
    "name": '"b1"',
    "key": '"/etc/rkllm/fleet.key"',
    "ca": '"/etc/rkllm/fleet-ca.pem"',
    "daemon": '["/run/rkllm/rkllm.sock", "/run/rkllm/cpu.sock"]',
    "host-name": '["board.lan"]',
    "embed": '"--library cpu --model /var/lib/rkllm/models/model.gguf"',
    "owner": '"rkllm"',
    "group": '"rkllm"',
    "library": '"/usr/lib/librkllmrt.so"',
    "llama": '"/usr/local/lib/rkllm-llama"',
    "llama-devices": '"none"',
    "llama-gpu-layers": "0",
    "abi": '"1.2.1"',
    "init-timeout": "120",
    "keep-alive": "600",
    "encoder": '"/var/lib/rkllm/models/encoder.rknn"',
    "vision-library": '"/usr/lib/librknnrt.so"',
    "cache-dir": '"/var/cache/rkllm"',
    "max-clients-per-user": "50",
    "child-cpus": '"4-7"',
    "child-oom-score": "500",
    "model-dir": '["/var/lib/rkllm/models"]',
    "model": '"/var/lib/rkllm/models/model.rkllm"',
    "model-param": '["max_context_len=4096"]',
    "allow-uid": '["rkllm", 1000]',
    "allow-gid": '["rkllm"]',
    "admin-uid": '["root"]',
    "admin-gid": '["rkllm"]',
}


def render(settings: Mapping[str, Setting], introduction: str = INTRODUCTION) -> str:
    """Make the page."""
    rows = [_row(name, setting) for name, setting in settings.items()]
    lines = table(("option", "meaning", "environment", "default"), rows)
    return f"{introduction}\n" + "\n".join(lines).rstrip("\n") + "\n"


def _row(name: str, setting: Setting) -> tuple[str, ...]:
    return (
        f"`--{name}`",
        setting.meaning,
        "".join(_variable(name, setting)),
        f"`{setting.default}`" if setting.default else setting.otherwise or "",
    )


def _variable(name: str, setting: Setting) -> Iterator[str]:
    yield f"`{setting.variable_of(name)}`"
    if setting.separator:
        yield f", separated by `{setting.separator}`"


def example(settings: Mapping[str, Setting], head: str = EXAMPLE) -> str:
    """Make etc/rkllm.toml."""
    return "\n".join((head, *(_lines_of(n, s) for n, s in settings.items() if s.in_file)))


def _lines_of(name: str, setting: Setting) -> str:
    note = f"{setting.meaning} Otherwise: {setting.otherwise}." * bool(setting.otherwise)
    comment = textwrap.fill(
        note or setting.meaning, 98, initial_indent="# ", subsequent_indent="# "
    )
    return f"{comment}\n#{name} = {_value(name, setting)}\n"


def _value(name: str, setting: Setting) -> str:
    if setting.default is None:
        shown = SHOWN[name]
        is_one_of_many = shown.startswith("[") and not setting.separator
        return shown.strip("[]").partition(", ")[0] if is_one_of_many else shown
    if setting.is_flag:
        return "true" if setting.default == "yes" else "false"
    is_number = setting.is_number and setting.default.isdigit()
    return setting.default if is_number else f'"{setting.default}"'

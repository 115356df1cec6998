"""Checks names of models, and finds the model that a name means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

import attrs

from rkllm_twisted.errors import InvalidParams

#: The longest name in characters: a folder and a file, each as long as Linux allows.
MAX_NAME_CHARACTERS = 511
#: The characters of an unknown name that the error shows.
_SHOWN_CHARACTERS = 100
_MAX_SUGGESTIONS = 3


def is_usable(name: str) -> bool:
    """True if a request can hold the name, and the name is no path that leads elsewhere."""
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME_CHARACTERS or name != name.strip():
        return False  # half characters, which names that are not UTF-8 have, are not printable
    return not {"", ".", ".."}.intersection(name.split("/"))


@attrs.frozen
class NameIndex:
    """Looks up names: a model's own name before an alias, the exact letters before others.

    :param names: the names of the models.
    :param aliases: each alias, and the names of the models that claim it.
    """

    names: Sequence[str]
    aliases: Mapping[str, Sequence[str]]

    def find(self, wanted: str) -> str:
        """Return the model's own name for a name.

        :raises InvalidParams: no model has the name (the text names close ones), or several do.
        """
        for found in self._candidates(wanted):
            if len(found) == 1:
                return found[0]
            if found:
                raise _error(
                    f"{wanted!r} may be {_listed(found)}; write the name of one, with its capital"
                    " letters.",
                    found,
                )
        close = self._close(wanted)
        shown = wanted if len(wanted) <= _SHOWN_CHARACTERS else f"{wanted[:_SHOWN_CHARACTERS]}…"
        if close:
            raise _error(f"There is no model {shown!r}; perhaps {_listed(close)} is meant.", close)
        if not self.names:
            raise _error(f"There is no model {shown!r}: no model lies in --model-dir.", ())
        raise _error(f"There is no model {shown!r}; models.list has those that there are.", ())

    def _candidates(self, wanted: str) -> Iterable[Sequence[str]]:
        yield [name for name in self.names if name == wanted]
        yield self.aliases.get(wanted, ())
        folded = wanted.casefold()
        yield [name for name in self.names if name.casefold() == folded]
        yield sorted(
            {
                name
                for alias, names in self.aliases.items()
                if alias.casefold() == folded
                for name in names
            }
        )

    def _close(self, wanted: str) -> list[str]:
        known = {name.casefold(): name for name in [*self.aliases, *self.names]}
        folded = wanted[:MAX_NAME_CHARACTERS].casefold()
        # A file's name, or the beginning of a model's, is closer than difflib thinks.
        start = [name for key, name in known.items() if key.startswith(folded) and folded]
        inside = [name for key, name in known.items() if folded.startswith(f"{key}.")]
        like = [known[key] for key in difflib.get_close_matches(folded, known, _MAX_SUGGESTIONS)]
        return list(dict.fromkeys([*sorted(start), *inside, *like]))[:_MAX_SUGGESTIONS]


def _error(message: str, close: Sequence[str]) -> InvalidParams:
    return InvalidParams(message, {"parameter": "model", "close": list(close)})


def _listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

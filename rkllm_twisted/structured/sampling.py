"""How the next token is chosen: the settings, and the numbers that chance is made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rkllm_twisted.chat.messages import shown, wrong

_SEED_MASK = (1 << 64) - 1


@attrs.frozen
class SamplingSettings:
    """The fields of RKLLMSamplingParam (rkllm.h 1.3.0), which older releases have in RKLLMParam.

    :param top_k: how many of the likeliest tokens are looked at; 0: all.
    :param top_p: how much of the probability they must have together.
    :param temperature: 0: always the likeliest token.
    :param repeat_penalty: what the scores of tokens that have come are divided by.
    :param mirostat: 1 or 2: keep the surprise near ``mirostat_tau`` bits for each token; 0: not.
    """

    top_k: int = 1
    top_p: float = 0.9
    temperature: float = 0.8
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1

    @property
    def is_greedy(self) -> bool:
        """True if the likeliest token is always taken."""
        return self.top_k == 1 or self.temperature <= 0

    @property
    def penalises(self) -> bool:
        """True if tokens that have come are less likely."""
        repeats = self.repeat_penalty not in (0, 1)
        return bool(repeats or self.frequency_penalty or self.presence_penalty)


FIELDS = tuple(field.name for field in attrs.fields(SamplingSettings))
#: The member of ``sampling`` that is not a field of RKLLMSamplingParam.
SEED = "seed"
#: The least and the greatest value of each field.
_RANGES: Mapping[str, tuple[float, float]] = {
    "top_k": (0, 1 << 30),
    "top_p": (0, 1),
    "temperature": (0, 1e6),
    "repeat_penalty": (0, 1e6),
    "frequency_penalty": (-1e6, 1e6),
    "presence_penalty": (-1e6, 1e6),
    "mirostat": (0, 2),
    "mirostat_tau": (0, 1e6),
    "mirostat_eta": (0, 1e6),
    SEED: (0, _SEED_MASK),
}
_WHOLE = frozenset({"top_k", "mirostat", SEED})


def read_sampling(
    loaded: Mapping[str, object],
    own: Mapping[str, object],
    asked: Mapping[str, object] | None,
) -> tuple[SamplingSettings, int | None]:
    """Return the settings of an answer, and the seed that the client gave.

    :param loaded: those that the model was loaded with.
    :param own: those of the model's ``rkllm.toml``.
    :param asked: those of the request, which go first.
    :raises InvalidParams: one of the request's is wrong; the error names it.
    """
    for name, value in (asked or {}).items():
        _check(name, value)
    together = {**loaded, **own, **(asked or {})}
    seed = together.pop(SEED, None)
    known = {name: value for name, value in together.items() if name in FIELDS}
    settings: dict[str, object] = {**known}
    return SamplingSettings(**settings), seed if isinstance(seed, int) else None  # type: ignore[arg-type]


def _check(name: str, value: object) -> None:
    place = f"sampling.{name}"
    if name not in _RANGES:
        raise wrong(place, f"there is no such field; there are: {', '.join(_RANGES)}")
    least, greatest = _RANGES[name]
    kinds = (int,) if name in _WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        what = "a whole number" if name in _WHOLE else "a number"
        raise wrong(place, f"must be {what}, not {shown(value)}")
    if not least <= value <= greatest:
        raise wrong(place, f"must be from {least:g} to {greatest:g}, not {shown(value)}")


class SplitMix:
    """The splitmix64 sequence, as the embedded runtime has it: equal seeds give equal answers.

    :param seed: of 64 bits.
    """

    def __init__(self, seed: int) -> None:
        self._state = seed & _SEED_MASK

    def next(self) -> float:
        """Return the next number, from 0 up to 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _SEED_MASK
        mixed = ((self._state ^ (self._state >> 30)) * 0xBF58476D1CE4E5B9) & _SEED_MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _SEED_MASK
        mixed ^= mixed >> 31
        return float(mixed >> 11) * 2.0**-53

"""Chooses a token from a row of logits and a mask, as the embedded runtime's own sampler does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rkllm_twisted.structured.sampling import SamplingSettings, SplitMix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Row = NDArray[np.float32]

#: How many of the latest tokens the penalties look at.
PENALTY_WINDOW = 64
#: What stands for an infinite logit, and, negative, for one that is no number.
_HUGE_SCORE = 1e30
#: Ranks that mirostat 1 estimates the fall of the likelihood from.
_FITTED_RANKS = 100


class NothingAllowedError(ValueError):
    """No token may come next, and the answer is not complete."""


class Picker:
    """Chooses the tokens of one answer.

    :param sampling: the settings.
    :param seed: where chance begins.
    """

    def __init__(self, sampling: SamplingSettings, seed: int) -> None:
        import numpy as np  # noqa: PLC0415 - an extra, which takes long to import

        self._np: Any = np
        self._how = sampling
        self._random = SplitMix(seed)
        self._surprise_limit = 2.0 * sampling.mirostat_tau

    def row(self, data: bytes, columns: int) -> Row:
        """Return the last row of logits without a copy.

        :param data: rows of little-endian float32.
        """
        view = memoryview(data)[-4 * columns :]
        row: Row = self._np.frombuffer(view, "<f4")
        return row

    def allowed(self, mask: bytearray) -> Any:
        """Return the ids of the tokens whose bits are set, in order.

        :param mask: see :meth:`.IConstraint.fill`.
        """
        np = self._np
        return np.flatnonzero(np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little"))

    def pick(self, row: Row, ids: Any, recent: Sequence[int]) -> int:
        """Choose a token.

        :param row: a logit for each token; there may be more columns than tokens, or fewer.
        :param ids: the tokens that are allowed, of :meth:`allowed`.
        :param recent: the tokens to penalise.
        :raises NothingAllowedError: none is allowed.
        """
        np, how = self._np, self._how
        if ids.size and ids[-1] >= row.size:
            ids = ids[: np.searchsorted(ids, row.size)]
        if not ids.size:
            raise NothingAllowedError
        scores = row[ids]
        if not np.isfinite(scores).all():
            scores = np.nan_to_num(
                scores, nan=-_HUGE_SCORE, posinf=_HUGE_SCORE, neginf=-_HUGE_SCORE
            )
        self._penalise(ids, scores, recent)
        if how.is_greedy or ids.size == 1:
            return int(ids[scores.argmax()])
        order = self._likeliest(scores, how.top_k if not how.mirostat else 0)
        ids, scores = ids[order], scores[order]
        if how.mirostat:
            return int(ids[self._by_mirostat(scores)])
        scores = scores[: self._reaching(scores)]
        return int(ids[self._draw(self._shares(scores))])

    def _penalise(self, ids: Any, scores: Row, recent: Sequence[int]) -> None:
        np, how = self._np, self._how
        if not how.penalises:
            return
        repeat = np.float32(how.repeat_penalty if how.repeat_penalty > 0 else 1)
        for token, times in Counter(recent).items():
            at = int(np.searchsorted(ids, token))
            if at == ids.size or ids[at] != token:
                continue
            # Dividing a negative score would make the token likelier.
            score = scores[at] / repeat if scores[at] > 0 else scores[at] * repeat
            score -= np.float32(times) * np.float32(how.frequency_penalty)
            scores[at] = score - np.float32(how.presence_penalty)

    def _likeliest(self, scores: Row, count: int) -> Any:
        """Return the places of the likeliest scores in order; equal ones stay in their order."""
        np = self._np
        if not 0 < count < scores.size:
            return np.argsort(-scores, kind="stable")
        least = np.partition(scores, scores.size - count)[scores.size - count]
        above = np.flatnonzero(scores > least)
        above = above[np.argsort(-scores[above], kind="stable")]
        # All scores of a row may be equal, and sorting them takes milliseconds.
        equal = np.flatnonzero(scores == least)[: count - above.size]
        return np.concatenate((above, equal))

    def _reaching(self, scores: Row) -> int:
        """Return how many of the likeliest it takes to reach ``top_p``."""
        np = self._np
        wide = scores.astype(np.float64)
        reached = np.cumsum(np.exp(wide - wide[0]))
        enough = reached >= float(np.float32(self._how.top_p)) * reached[-1]
        return int(enough.argmax()) + 1 if enough.any() else int(scores.size)

    def _shares(self, scores: Row) -> Row:
        """Return shares that add up to 1, for scores with the largest first."""
        np = self._np
        wide = scores.astype(np.float64)
        raised = np.exp((wide - wide[0]) / float(np.float32(self._how.temperature)))
        raised = raised.astype(np.float32).astype(np.float64)
        shares: Row = (raised / np.cumsum(raised)[-1]).astype(np.float32)
        return shares

    def _draw(self, shares: Row) -> int:
        np = self._np
        reached = np.cumsum(shares.astype(np.float64))
        target = self._random.next() * reached[-1]
        return min(int(np.searchsorted(reached, target, side="right")), int(shares.size) - 1)

    def _by_mirostat(self, scores: Row) -> int:
        shares, how = self._shares(scores), self._how
        count = self._ranks(shares) if how.mirostat == 1 else self._unsurprising(shares)
        chosen = self._draw(shares[:count])
        share = float(shares[chosen]) / float(shares[:count].sum())
        self._surprise_limit -= how.mirostat_eta * (_surprise(share) - how.mirostat_tau)
        return chosen

    def _unsurprising(self, shares: Row) -> int:
        """Return how many tokens, from the likeliest on, would not surprise too much."""
        fits = (_surprise(float(one)) <= self._surprise_limit for one in shares[1:])
        return 1 + next((at for at, fit in enumerate(fits) if not fit), int(shares.size) - 1)

    def _ranks(self, shares: Row) -> int:
        """Return how many ranks give the surprise aimed at, by Zipf's law."""
        products = squares = 0.0
        for at in range(min(_FITTED_RANKS, int(shares.size)) - 1):
            if shares[at + 1] <= 0:
                break
            step = math.log((at + 2) / (at + 1))
            products += step * math.log(float(shares[at]) / float(shares[at + 1]))
            squares += step * step
        exponent = products / squares if squares else 1.0
        excess = exponent - 1 if abs(exponent - 1) >= 1e-9 else 1e-9
        try:
            bits = 2.0**self._surprise_limit
            ranks = (excess * bits / (1 - shares.size**-excess)) ** (1 / exponent)
        except (OverflowError, ZeroDivisionError):
            return 1
        if isinstance(ranks, complex) or not ranks >= 1:
            return 1
        return int(min(ranks, shares.size))


def _surprise(share: float) -> float:
    """Return how many bits a token of this share tells."""
    return -math.log2(share) if share > 0 else 1e3

"""A call with checked parameters, and what a run reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.testing.vocabulary import WordVocabulary


@attrs.frozen
class Prepared:
    """A call with checked parameters.

    :param arguments: C name -> value, as the client has sent it.
    """

    function: str
    arguments: Mapping[str, Any]
    checked: PreparedCall

    @property
    def name(self) -> str:
        """The function of rkllm.h."""
        return self.function

    @property
    def model_path(self) -> str | None:
        """See :class:`PreparedCall`."""
        return self.checked.model_path


def prompt_of(prepared: Prepared, vocabulary: WordVocabulary) -> str:
    """Return the prompt of a run; empty if its input is embeddings or unknown tokens."""
    given = prepared.arguments["rkllm_input"]
    first = given[0] if isinstance(given, list) else given
    multimodal = first.get("multimodal_input") or {}
    prompt = str(first.get("prompt_input") or multimodal.get("prompt") or "")
    return prompt or vocabulary.known_text(tokens_in(prepared))


def tokens_in(prepared: Prepared) -> Sequence[int]:
    """Return the tokens that are the input of a run; none if its input is something else."""
    given = prepared.arguments["rkllm_input"]
    tokens = None if isinstance(given, list) else given.get("token_input")
    ids = tokens.get("input_ids") if isinstance(tokens, Mapping) else None
    return ids if isinstance(ids, list | tuple) else ()

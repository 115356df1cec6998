"""The table of what answers in a form assume of librkllmrt.

``docs/structured.md`` explains these answers.
"""

from __future__ import annotations

from rkllm_twisted.contract import structured_checks
from rkllm_twisted.contract.assumption import COPES, Assumption

CHECKS_ANSWERS = (
    "The daemon sees this at the first row after a load: answers in a form are then only checked,"
    ' and say "guaranteed": false.'
)
STRUCTURED_ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "logits of a token",
        "A run for logits with one token as TOKEN input brings one row, in one callback.",
        CHECKS_ANSWERS,
        structured_checks.returns_logits,
    ),
    Assumption(
        "logits append",
        "Such a run with keep_history adds one token, and the row is that of the answer's next.",
        CHECKS_ANSWERS + " If only the row is wrong, answers keep their form and lose their sense:"
        " leave the extra [structured] out, and report it.",
        structured_checks.appends_one,
    ),
    Assumption(
        "logits of several",
        "The same holds for several tokens; the last row counts.",
        "Answers in a form lose their sense where several tokens are certain: report it.",
        structured_checks.appends_several,
    ),
    Assumption(
        "hidden prompt",
        "A prompt that was read for hidden states with keep_history goes on with logits.",
        CHECKS_ANSWERS,
        structured_checks.reads_prompt_for_hidden,
    ),
    Assumption(
        "logits after a pause",
        "A paused run goes on with logits behind its last token.",
        f"{COPES} It does not use this; it would be another way without hidden states.",
        structured_checks.goes_on_after_pause,
    ),
    Assumption(
        "rows are freed",
        "A thousand runs for logits leave the memory as it was.",
        "Answers in a form make the runtime's process grow: load the model again now and then.",
        structured_checks.frees_rows,
    ),
    Assumption(
        "logits after pictures",
        "Tokens can be read for logits behind a prompt with pictures.",
        "No program can check it without an image encoder; such answers are not made yet.",
        None,
    ),
)

"""The table of what chat assumes of librkllmrt.

``docs/chat.md`` explains the tiers.
"""

from __future__ import annotations

from rkllm_twisted.contract import chat_checks
from rkllm_twisted.contract.assumption import COPES, Assumption

CHAT_ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "tokens appended",
        "TOKEN input with keep_history adds exactly its tokens to the cache.",
        f"{COPES} The tier tokens sees in each run's figures that other tokens were read, and reads"
        " each conversation whole.",
        chat_checks.appends_tokens,
    ),
    Assumption(
        "marks in a prompt",
        "The text of a control token is letters in a prompt.",
        "In the tier runtime a client's text can become a control token: put tokenizer.json or a"
        " template beside the model, for another tier.",
        chat_checks.prompt_has_no_marks,
    ),
    Assumption(
        "marks in slots",
        "The text of a control token is that token in each slot of rkllm_set_chat_template.",
        "In the tier template the daemon counts the tokens of the marks once, and refuses chat: put"
        " tokenizer.json beside the model, for the tier tokens.",
        chat_checks.slots_have_marks,
    ),
    Assumption(
        "clear but system",
        "rkllm_clear_kv_cache with the system prompt kept leaves the system slot's tokens only.",
        f"{COPES} With the vendor's library it clears all and reads the conversation again.",
        chat_checks.keeps_system,
    ),
    Assumption(
        "saved prompt",
        "A saved prompt has the prompt's tokens without the answer, and a longer prompt goes on.",
        f"{COPES} With --cache-dir it tries the first saved prompt of a model, and then saves no"
        " more; files that clients save may be of no use to them.",
        chat_checks.saves_prompt,
    ),
    Assumption(
        "prompt again",
        "A prompt that comes again is read whole, if no history is kept.",
        f"{COPES} Answers may come sooner; usage may count tokens as read that were not.",
        chat_checks.reads_whole_prompt,
    ),
    Assumption(
        "beginning again",
        "What a cleared cache held is not read again, if a prompt with history begins so.",
        f"{COPES} A prompt that continues no conversation is read whole; --cache-dir helps.",
        chat_checks.reuses_beginning,
    ),
    Assumption(
        "template file",
        "A chat_template.jinja beside the model is not read by the runtime.",
        f"{COPES} Only the tier runtime uses the runtime's template, and with this file the daemon"
        " takes another tier.",
        chat_checks.ignores_template_file,
    ),
    Assumption(
        "answer ends",
        "The model's end token ends an answer before its limit.",
        "Runs go on to the limit, as on release 1.3.0 with models of toolkit 1.2.2 and 1.2.3. Chat"
        " ends answers itself, if rkllm.toml has end_tokens or generation_config.json has them.",
        chat_checks.answer_ends,
    ),
)

"""The table of what the code assumes of librkllmrt, the most important first."""

from __future__ import annotations

from rkllm_twisted.contract import abort_checks, host_checks, run_checks, state_checks
from rkllm_twisted.contract.assumption import COPES, Assumption
from rkllm_twisted.contract.chat_assumptions import CHAT_ASSUMPTIONS
from rkllm_twisted.contract.structured_assumptions import STRUCTURED_ASSUMPTIONS

#: The name of the assumption without which the later ones cannot be checked.
MODEL_LOADS = "loads"
ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "version",
        "The library's data says its version, and the layout follows from it.",
        "The daemon needs --abi where functions and defaults are not conclusive either.",
        run_checks.says_version,
    ),
    Assumption(
        MODEL_LOADS,
        "rkllm_init loads the model and gives a handle.",
        "Nothing else can be checked; see rkllm doctor, and the lines that the library printed.",
        run_checks.loads,
    ),
    Assumption(
        "missing model",
        "rkllm_init refuses a file that does not exist.",
        f"{COPES} It looks at files itself.",
        run_checks.refuses_missing_model,
    ),
    Assumption(
        "long context",
        "rkllm_init refuses a context that is longer than the model's.",
        f"{COPES} The client gets what the library does.",
        run_checks.refuses_long_context,
    ),
    Assumption(
        "callback's thread",
        "Callbacks come on the thread that called rkllm_run.",
        "Results may reach clients in another order: report it.",
        run_checks.calls_back_on_callers_thread,
    ),
    Assumption(
        "host in C",
        "The library works in a program that is not Python, and gives the same answer there.",
        "The daemon cannot use it as it is: start it with --runtime-host python, and report it.",
        host_checks.works_without_python,
    ),
    Assumption(
        "release",
        "A callback may return 2 for a result with arrays, which then are released (1.3.0).",
        "Runs for logits or hidden states fail or leak: report it.",
        host_checks.releases_arrays,
    ),
    Assumption(
        "userdata",
        "A callback brings the userdata of its run.",
        "No result would reach a client, since it tells runs apart: report it.",
        run_checks.brings_userdata,
    ),
    Assumption(
        "FINISH, generating",
        "A run that generates ends with one FINISH as its last callback, and returns 0.",
        f"{COPES} The end of rkllm_run ends the stream, with an empty result where none came.",
        run_checks.ends_with_finish,
    ),
    Assumption(
        "end, logits",
        "A run for logits brings them, returns 0, and nothing comes after its return.",
        "Logits may be lost: report it.",
        run_checks.logits_end_with_return,
    ),
    Assumption(
        "end, hidden states",
        "A run for hidden states brings them, returns 0, and nothing comes after its return.",
        "Hidden states may be lost: report it.",
        run_checks.hidden_end_with_return,
    ),
    Assumption(
        "ERROR",
        "A prompt longer than the context fails, with ERROR or a status, and the next run works.",
        "A prompt that is too long may cost the model: set limits in the clients.",
        run_checks.fails_with_error,
    ),
    Assumption(
        "perf",
        "perf is filled with the last callback only.",
        f"{COPES} Figures are passed on as they come.",
        run_checks.figures_with_finish,
    ),
    Assumption(
        "WAITING",
        "The texts of NORMAL callbacks are whole characters, whatever came with WAITING.",
        "Text may have U+FFFD or lack characters: report it with the prompt.",
        run_checks.waits_for_characters,
    ),
    Assumption(
        "pause",
        "A callback that returns 1 ends the run with 0 and without FINISH, and the next continues.",
        "rkllm.pause does not pause.",
        run_checks.pauses,
    ),
    Assumption(
        "run_async",
        "rkllm_run_async calls back and ends with FINISH.",
        f"{COPES} It is used with --native-async only; leave that out.",
        run_checks.runs_asynchronously,
    ),
    Assumption(
        "abort's status",
        "rkllm_abort returns 0 while a run is under way.",
        "rkllm.abort answers with -32000, although the run may stop.",
        abort_checks.abort_returns_zero,
    ),
    Assumption(
        "abort ends",
        f"After rkllm_abort, rkllm_run returns within {abort_checks.ABORT_TIMEOUT_S:g} s.",
        "Every cancelled run costs the model: the runtime's process is killed.",
        abort_checks.abort_ends_the_run,
    ),
    Assumption(
        "status after abort",
        "rkllm_run returns 0 when it was aborted.",
        "An aborted run is answered with -32000 instead of its last result.",
        abort_checks.aborted_run_returns_zero,
    ),
    Assumption(
        "state after abort",
        "The last callback of an aborted run is FINISH.",
        f"{COPES} The end of rkllm_run ends the stream.",
        abort_checks.aborted_run_finishes,
    ),
    Assumption(
        "late callbacks",
        "Nothing comes after the return of an aborted run.",
        f"{COPES} A callback with another run's number is dropped.",
        abort_checks.nothing_comes_late,
    ),
    Assumption(
        "run after abort",
        "The run after an aborted one is whole.",
        "A cancelled request may stop another client's: report it.",
        abort_checks.next_run_is_whole,
    ),
    Assumption(
        "abort of nothing",
        "An abort when nothing runs does not reach the next run.",
        "A cancelled request may stop another client's: report it.",
        abort_checks.abort_of_nothing,
    ),
    Assumption(
        "abort in a callback",
        "rkllm_abort may be called inside a callback, and ends the run.",
        "A run that is cancelled as it begins goes on to its end.",
        abort_checks.abort_from_callbacks_thread,
    ),
    Assumption(
        "is_running",
        "rkllm_is_running returns 1 on another thread while a run is under way, and only then.",
        "rkllm.is_running is wrong with --isolation thread.",
        abort_checks.running_is_one,
    ),
    Assumption(
        "history kept",
        "With keep_history the cache grows from run to run.",
        "Conversations do not go on.",
        state_checks.keeps_history,
    ),
    Assumption(
        "history dropped",
        "Without keep_history a run leaves the cache as it was.",
        "Answers depend on runs that should leave no history.",
        state_checks.drops_history,
    ),
    Assumption(
        "clear",
        "rkllm_clear_kv_cache without the system prompt leaves no token in the cache.",
        "--history connection does not keep conversations apart.",
        state_checks.clears,
    ),
    Assumption(
        "cleared is new",
        "After a clear a prompt is answered as the first time.",
        "--history connection does not keep conversations apart.",
        state_checks.cleared_is_as_new,
    ),
    Assumption(
        "template clears",
        "rkllm_set_chat_template clears the cache.",
        "A conversation goes on under another template.",
        state_checks.template_clears,
    ),
    Assumption(
        "strings",
        "What rkllm_set_chat_template was given is not read after the next call.",
        "Its memory is kept until the next call only: report it.",
        state_checks.copies_strings,
    ),
    Assumption(
        "RKLLMParam",
        "rkllm_init's RKLLMParam is not read after its return.",
        f"{COPES} It is kept as long as the model.",
        state_checks.copies_param,
    ),
    Assumption(
        "destroy frees",
        "rkllm_destroy gives memory, descriptors and threads back.",
        f"{COPES} With --isolation process a new process follows each destroy.",
        state_checks.destroy_frees,
    ),
    Assumption(
        "init after destroy",
        "A model can be loaded again in the same process.",
        f"{COPES} With --isolation process a new process follows each destroy.",
        state_checks.loads_again,
    ),
    Assumption(
        "destroy while running",
        "rkllm_destroy ends a run that is under way and returns 0.",
        f"{COPES} The daemon waits for the run first.",
        state_checks.destroy_while_running,
    ),
    *CHAT_ASSUMPTIONS,
    *STRUCTURED_ASSUMPTIONS,
    Assumption(
        "input",
        "rkllm_run may read its input until it returns.",
        "No program can see whether it is copied; the daemon keeps it, so it does not matter.",
        None,
    ),
    Assumption(
        "results",
        "A result's text and arrays are valid inside the callback only.",
        "No program can see when memory becomes invalid; the daemon copies, so it does not matter.",
        None,
    ),
    Assumption(
        "LoRA, pictures",
        "Adapters and embeddings do what rkllm.h says.",
        "They need files that are made for the model; try them with the rkllm.* methods.",
        None,
    ),
)

"""Public reports about similar servers: the source, the attempt, and the required outcome.

``tests/endtoend/test_public_reports.py`` plays each row against a daemon. ``rknn-llm`` is
airockchip/rknn-llm on GitHub; ``#N`` is an issue or a pull request. Tests need no board: the
scripted engine of the embedded runtime plays the library's faults.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Report:
    """One public report.

    :param source: where it is from.
    :param tried: what was tried, and what happened there.
    :param must: what must happen with this daemon.
    :param scenario: the function of the test that plays it, without ``play_``.
    """

    source: str
    tried: str
    must: str
    scenario: str


def _reports(scenario: str, must: str, *found: tuple[str, str]) -> tuple[Report, ...]:
    return tuple(Report(source, tried, must, scenario) for source, tried in found)


#: The same in several reports.
ASYNC = "rkllm_run_async sent no callback, hung, or returned empty text"

REPORTS: tuple[Report, ...] = (
    # ---- Loading a model ----
    *_reports(
        "init_succeeds_without_a_handle",
        "-32000 says that there is no handle; a run is -32001; the next init works",
        ("rknn-llm#156", "init returned 0 with an invalid handle"),
        ("GatekeeperZA, notes on out of memory", "init returned 0 with a NULL handle"),
    ),
    *_reports(
        "run_aborts_the_process",
        "-32004 with the signal and the last lines; the daemon and its other clients stay",
        ("rknn-llm#129", "invalid model magic, but init returned 0; the run ended in GGML_ASSERT"),
        ("rknn-llm#111", "init returned 0 in spite of an error; the run aborted"),
        ("rknn-llm#119", "init returned 0 in spite of an error; the run aborted"),
        ("rknn-llm#509", "rkllm_run crashed after a change of the structures"),
    ),
    *_reports(
        "init_crashes",
        "-32004 with the signal; a smaller model loads afterwards",
        ("rknn-llm#522", "1.3.0 crashed in init when the NPU's memory was short"),
        ("rknn-llm#99", "a crash with a base_domain_id on 1.1.0"),
    ),
    *_reports(
        "init_exits_silently",
        "-32004 with exit code 0: the call does not look successful",
        ("rknn-llm#31", "init ended the process without a word"),
    ),
    *_reports(
        "init_hangs",
        "-32003 after --init-timeout; the next init works",
        ("rknn-llm#83", "init hung after an upgrade of the driver"),
        ("oRKLLM fcd898f", "a second init blocked while another model held the NPU"),
    ),
    *_reports(
        "second_init_replaces_the_model",
        "the first model is destroyed before the second one is loaded",
        ("rknn-llm#367", "several models in one process failed before 1.2.2"),
    ),
    *_reports(
        "context_longer_than_the_models",
        "-32000 names init; the daemon loads the model with a shorter context afterwards",
        ("NotPunchnox/rkllama#60", "max_context_len above the model's made init return -1"),
        ("NotPunchnox/rkllama#64", "max_context_len above the model's made init return -1"),
        ("rknn-llm#352", "the context can be set at init only"),
    ),
    *_reports(
        "files_that_are_no_models",
        "-32602 with what the file is; the model that is loaded stays",
        ("rknn-llm#15", "a Git LFS pointer instead of the model: HeaderTooLarge"),
        ("stacklok/codegate#850", "a model in Git LFS that was not pulled"),
        ("abetlen/llama-cpp-python#755", "a GGUF file of another format: invalid magic number"),
        ("airockchip/rknn-toolkit2#60", "a model that was damaged on its way: invalid magic"),
        ("Pelochus/ezrknpu#11", "invalid model magic, and a crash at the first question"),
    ),
    *_reports(
        "a_file_by_its_path",
        "`rkllm init PATH` loads a file with nothing else beside it",
        ("NotPunchnox/rkllama#48", "a local model without a Modelfile could not be loaded"),
    ),
    *_reports(
        "a_command_that_does_not_exist",
        "exit code 2, and the command that does it",
        ("NotPunchnox/rkllama#22", "Unknown command: load"),
    ),
    *_reports(
        "the_reason_of_a_failed_load",
        "the lines that the library printed during the call are in the error, and in no other's",
        ("rknn-llm#335", "failed to malloc npu memory, which only a log said"),
        ("NotPunchnox/rkllama#55", "E rkllm: invalid rkllm model!, in the log only"),
    ),
    *_reports(
        "killed_from_outside",
        "-32004 with signal 9; the socket and the other clients stay, and init works again",
        ("rknn-llm#229", "the kernel killed the process because memory was short"),
        ("rknn-llm#249", "the kernel killed the process because memory was short"),
    ),
    *_reports(
        "many_descriptors",
        "the child raises its limit of open files as far as it may",
        ("rknn-llm#62", "each NPU buffer is a descriptor: Too many open files"),
        ("rknn-llm#17", "Too many open files at a limit of 1024"),
    ),
    *_reports(
        "layout_of_another_release",
        "the daemon does not start; one sentence names both releases",
        ("RKLLM-Gradio#16", "a program with the structures of another release"),
        ("functionland/blox-ai d3aeb79", "n_batch must be between 1 and 100, but got 0"),
    ),
    # ---- Runs ----
    *_reports(
        "several_clients_at_once",
        "each client gets its own answer",
        ("rknn-llm#315", "calls from several threads hung without a lock"),
    ),
    *_reports(
        "prompt_longer_than_the_context",
        "the run fails alone; the next one is answered",
        ("jaylfc/taOS#1732", "an overlong prompt killed the worker"),
        ("jaylfc/taOS#1738", "an overlong prompt killed the worker"),
        ("NotPunchnox/rkllama#25", "an overlong prompt killed the worker"),
    ),
    *_reports(
        "run_async_streams",
        "tokens arrive and the stream ends: the daemon does not call rkllm_run_async",
        ("rknn-llm#190", ASYNC),
        ("rknn-llm#206", ASYNC),
        ("rknn-llm#208", ASYNC),
        ("rknn-llm#320", ASYNC),
        ("rknn-llm#321", ASYNC),
        ("rknn-llm#396", ASYNC),
    ),
    *_reports(
        "is_running",
        "true while a run is under way, false otherwise",
        ("rknn-llm#502", "the header said that 0 means running"),
        ("rpersee, call_rkllm_is_running.c", "the result was read the wrong way round"),
    ),
    *_reports(
        "a_run_without_finish",
        "the return of rkllm_run ends the stream",
        ("oRKLLM 5aad2d1", "hidden states came without FINISH and the server waited for ever"),
    ),
    *_reports(
        "hidden_states_repeat",
        "with the cache cleared before each, two runs of one text give the same numbers",
        ("rknn-llm#278", "only the first call gave right hidden states"),
        ("NotPunchnox/rkllama#139", "embeddings took 0.3 s, then up to 26 s"),
    ),
    *_reports(
        "hidden_states_leave_no_memory_behind",
        "the memory of the child stays where it is",
        ("rknn-llm#504", "memory grew with each run for hidden states"),
    ),
    *_reports(
        "a_run_without_history_leaves_nothing",
        "the cache has as many tokens as before",
        ("GatekeeperZA, notes on keep_history", "older runs showed in runs without history"),
    ),
    # ---- Ending a run ----
    *_reports(
        "cancelling_a_waiting_run",
        "the waiting run is answered with -32800; the other one goes on to its end",
        ("rknn-llm#382", "rkllm_abort stopped everything on the handle"),
        ("ikawrakow/ik_llama.cpp#1929", "cancelling a queued request aborted the running one"),
        ("ggml-org/llama.cpp#16467", "requests that waited could not be cancelled"),
    ),
    *_reports(
        "cancelling_while_the_prompt_is_read",
        "the client is answered at once",
        ("rknn-llm#400", "an abort after 100 ms took effect after 1366 ms"),
        ("modelcontextprotocol/python-sdk#1419", "who cancels must know what comes: one -32800"),
    ),
    *_reports(
        "late_callbacks",
        "tokens of the aborted run reach no other request",
        ("oRKLLM d7b2f7f", "tokens of the aborted run appeared in the next answer"),
        ("GatekeeperZA, notes on abort", "orphan tokens had to be drained"),
    ),
    *_reports(
        "the_next_run_reads_its_own_prompt",
        "after a cancelled run the next one answers its own prompt",
        ("noc7c9/rkllm-eos-repro", "stopped from the callback, the next run resumed the old one"),
    ),
    *_reports(
        "an_end_token_that_the_runtime_does_not_know",
        "end_tokens in rkllm.toml end the answer; the next run reads its own prompt",
        (
            "noc7c9/rkllm-eos-repro, second part",
            "1.3.0 did not read the model's end token and generated up to max_new_tokens",
        ),
    ),
    *_reports(
        "leaving_frees_the_npu",
        "the run of a client that left is aborted, and the next one starts",
        ("ggml-org/llama.cpp#24496", "a client that left was never noticed"),
        ("ggml-org/llama.cpp#24630", "the slot was to be freed at once"),
        ("vllm-project/vllm#54947", "the abort of a client that had left did not work"),
        ("vllm-project/vllm#10806", "the abort of a client that had left did not work"),
    ),
    *_reports(
        "leaving_while_waiting",
        "a waiting run of a client that left never reaches the NPU",
        ("ggml-org/llama.cpp#13262", "queued requests of clients that had left were run"),
    ),
    *_reports(
        "leaving_amid_messages",
        "the daemon answers as before",
        ("ggml-org/llama.cpp#9928", "the server crashed after interrupted connections"),
    ),
    # ---- Adapters, templates, caches ----
    *_reports(
        "tools_after_an_empty_template",
        "an answer for each call; the daemon stays",
        ("rknn-llm#397", "rkllm_set_function_tools returned -1 after an empty template"),
    ),
    *_reports(
        "template_or_tools",
        "the last of the two calls counts",
        ("rknn-llm#377", "template and tools replaced each other"),
    ),
    *_reports(
        "tokens_have_no_template",
        "the template acts on prompts only",
        ("rknn-llm#293", "a template had no effect on token input"),
    ),
    *_reports(
        "adapters_go_with_the_model",
        "after the next init the adapter's name is unknown",
        ("rknn-llm#461", "no function unloads an adapter"),
    ),
    *_reports(
        "fields_that_place_the_model",
        "enabled_cpus_mask and base_domain_id reach the library",
        ("rknn-llm#271", "fewer processors than NPU cores made init fail"),
        ("oRKLLM d683709", "base_domain_id had no effect on the RK3576"),
        ("rknn-llm#437", "a model above 4 GB needs another base_domain_id"),
    ),
    # ---- A daemon for many ----
    *_reports(
        "a_full_queue",
        "-32002 at once with queue_length; nothing is lost",
        ("vllm-project/vllm#13395", "the queue had no limit; users ask for 429"),
        ("vllm-project/vllm#2901", "requests timed out in an endless queue"),
    ),
    *_reports(
        "health_while_the_npu_hangs",
        "server.ping and server.status are answered",
        ("vllm-project/vllm#8583", "a heartbeat instead of a health probe of a busy engine"),
        ("ggml-org/llama.cpp#27604", "a client's abort hung the whole server"),
    ),
    *_reports(
        "stopping_while_the_npu_hangs",
        "the first SIGTERM ends the daemon within its limits",
        ("ggml-org/llama.cpp#27604, second part", "SIGTERM was ignored"),
        ("twisted#3654", "the first SIGTERM did nothing"),
    ),
    *_reports(
        "stopping_amid_a_stream",
        "the run under way may end; waiting ones get -32802",
        ("vllm-project/vllm#36666", "stopping aborted every request at once"),
        ("vllm-project/vllm#24885", "a stop should let running requests end"),
    ),
    *_reports(
        "the_socket_of_systemd",
        "its file is there after the daemon's end",
        ("mitsuhiko/systemd#20", "a daemon must not unlink the socket that it was passed"),
    ),
    *_reports(
        "a_killed_daemons_socket",
        "the next daemon starts at the same path",
        ("twisted, wantPID locks", "a pid that was used again kept the daemon out for ever"),
    ),
    # ---- JSON-RPC ----
    *_reports(
        "one_response_for_each_id",
        "as notifications, each request has exactly one response",
        ("microsoft/vs-streamjsonrpc#818", "a second response with one id closed the connection"),
        ("ethereum/web3.py#3623", "a response with an unknown id hung the client"),
        ("paritytech/jsonrpsee, tests.rs:73", "a second response with one id ended the client"),
    ),
    *_reports(
        "an_invalid_request_with_an_id",
        "-32600 with that id",
        ("modelcontextprotocol/ruby-sdk#398", "id null left the caller waiting"),
    ),
    *_reports(
        "a_response_is_not_answered",
        "nothing comes back",
        ("status-im/nim-json-rpc#276", "two peers answered each other's answers for ever"),
    ),
    *_reports(
        "batches",
        "one answer for each member that is a request",
        ("modelcontextprotocol/conformance#378", "batches were removed from a server"),
    ),
    *_reports(
        "a_long_message_in_small_pieces",
        "it takes time in proportion to its length",
        ("twisted#4378", "the receiver of netstrings took quadratic time"),
    ),
    # ---- The board ----
    *_reports(
        "doctor_on_a_container_without_device_tree",
        "`board` names the option that shows the device tree",
        ("airockchip/rknn-toolkit2#33", "the runtime reads /proc/device-tree, which was masked"),
        ("rknn-llm#334", "in Docker the library found no device"),
    ),
    *_reports(
        "doctor_on_another_chip",
        "`board` says that RKLLM does not support the chip",
        ("rknn-llm#416", "an RK3566: Platform error, must be either RK3588, RK3576 …"),
    ),
    *_reports(
        "doctor_without_permission",
        "`devices` and `heaps` name the nodes and the groups",
        ("rknn-llm#287", "no permission for the device: init returned -1"),
        ("bigtreetech/CB2#140", "card and render node belong to two groups"),
        ("armbian/build#10085", "/dev/dma_heap belonged to root alone"),
        ("airockchip/rknn-toolkit2#534", "a kernel without /dev/rknpu"),
    ),
    *_reports(
        "the_unit_shows_the_device_tree",
        "the unit does not set ProcSubset=",
        ("fwupd/fwupd#6964", "ProcSubset=pid hid what the service reads"),
    ),
)

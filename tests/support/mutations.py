"""Every guard is held by a test: take one guard out at a time, and some test must fail.

Run me (``make guards``); I print the guards whose absence nobody noticed. Each row of the table is
a guard, the one place in the package where it stands, what disables it, and the tests that are to
notice. They run against a copy of the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import attrs

ROOT = Path(__file__).parents[2]
PACKAGE = "rkllm_twisted"
#: The host in C.
HOST, BUILT_HOST = Path("cpu_runtime/src/host"), Path(PACKAGE, "isolation", "rkllm-host")
CROSSBAR = ROOT / ".venv-crossbar" / "bin" / "crossbar"
WORKERS = 4
#: Seconds that the tests of one guard may take; a guard's absence may make them wait for ever.
GUARD_TESTS_S = 60
#: Seconds that the tests of all guards may take, with every guard in place.
ALL_TESTS_S = 900
#: pytest's exit codes.
PASSED, FAILED = 0, 1


@attrs.frozen
class Guard:
    """One guard.

    :param file: in the package, or of the host in C, which is built without it.
    :param text: what stands there, exactly once.
    :param without: what stands there instead while the guard is disabled.
    :param tests: pytest's names of tests, under ``tests/``.
    """

    name: str
    file: str
    text: str
    without: str
    tests: tuple[str, ...]

    @property
    def needs_crossbar(self) -> bool:
        """True if only tests with a router hold it."""
        return any(test.startswith("crossbar/") for test in self.tests)


def _guard(name: str, file: str, text: str, without: str, *tests: str) -> Guard:
    return Guard(name, file, text, without, tests)


OUTPUT, LATE = "isolation/test_output.py", "isolation/test_late_callbacks.py"
TURN, SEQUENCE = "npu/test_turn.py", "methods/test_sequence.py"
ORDER, SAVED = "npu/test_turn_order.py", "inference/test_prompt_cache.py"
NPU, TURNS, TALK, WIRE = (
    "npu/test_thread.py",
    "npu/test_queue.py",
    "rpc/test_dispatch.py",
    "server/test_protocol.py",
)
JSON, SOCKET, LISTEN = (
    "wire/test_jsonrpc.py",
    "server/test_protocol_socket.py",
    "server/test_service.py",
)
SCALARS, ARRAYS, RUNS = "abi/test_scalars.py", "abi/test_arrays.py", "runtime/test_runs.py"
REPORTS, CHECKED = "systemd/test_service.py", "inference/test_checked_answers.py"
TABLE, SHARING, FRAMING = (
    "contracts/test_wire_table.py",
    "server/test_fairness.py",
    "wire/test_framing.py",
)

GUARDS = [
    _guard(
        "models: a digest of a file that changed meanwhile is not kept",
        "models/file_cache.py",
        "if not file.is_unchanged():",
        "if False:",
        "models/test_file_cache.py::test_a_file_that_changes_while_it_is_read_has_no_digest",
    ),
    _guard(
        "models: a digest can be cancelled",
        "models/file_cache.py",
        "            if is_cancelled():",
        "            if False:",
        "models/test_file_cache.py::test_a_digest_can_be_cancelled_amid_the_file",
    ),
    _guard(
        "models: a name cannot be a path that leads away",
        "models/names.py",
        'return not {"", ".", ".."}.intersection(name.split("/"))',
        "return True",
        "models/test_names.py::test_a_name_that_is_not_usable",
    ),
    _guard(
        "models: two models whose names differ by capital letters are not confused",
        "models/names.py",
        "if len(found) == 1:",
        "if found:",
        "models/test_names.py::test_a_name_that_means_none_or_several_says_which_there_are",
    ),
    _guard(
        "models: an array of texts in a GGUF header is bounded",
        "formats/gguf.py",
        "elif count > MAX_ELEMENTS:",
        "elif False:",
        "formats/test_gguf.py::test_what_is_no_gguf_that_is_known_is_refused_in_words",
    ),
    _guard(
        "models: a file whose tensors lie beyond its end is cut short",
        "formats/file_kind.py",
        "if header.length > size:",
        "if False:",
        "formats/test_file_kind.py::test_a_file_that_was_cut_short_anywhere_is_known_as_such",
    ),
    _guard(
        "a client's request that is given up is cancelled",
        "client_core/connection.py",
        "        self._open.remove(number)\n        return netstring(",
        "        return b'' and netstring(",
        "client_core/test_connection.py::test_a_cancelled_request_is_heard_of_no_more",
    ),
    _guard(
        "Ctrl-C does not come between reading bytes and taking them in",
        "client_core/unix_socket.py",
        "        with without_interrupts():\n            if self._outgoing:\n                self.",
        "        if True:\n            if self._outgoing:\n                self.",
        "test_blocking.py::test_ctrl_c_while_bytes_are_taken_in_loses_none",
    ),
    _guard(
        "the blocking client gives up a daemon that answers no ping",
        "client_core/unix_socket.py",
        "                if has_pinged:",
        "                if False:",
        "contracts/test_client_bad_days.py::test_a_daemon_that_is_stopped_is_given_up",
    ),
    _guard(
        "the Twisted client gives up a daemon that answers no ping",
        "client/connection.py",
        "        if self._has_pinged:",
        "        if False:",
        "client/test_client.py::test_a_ping_without_an_answer_ends_the_connection",
    ),
    _guard(
        "the blocking client reads while it has something to write",
        "client_core/unix_socket.py",
        "select.POLLIN | (select.POLLOUT if self._outgoing else 0)",
        "select.POLLOUT if self._outgoing else select.POLLIN",
        "contracts/test_client_bad_days.py::test_a_long_message_does_not_wait_for_a_stream_to_be_read",
    ),
    # The shared NPU
    _guard(
        "only the run that is given up is aborted",
        "npu/thread.py",
        "if job is self._under_way and job.in_run and self._runtime.loaded:",
        "if self._runtime.loaded:",
        f"{NPU}::test_cancelling_one_never_stops_another",
    ),
    _guard(
        "a run that was given up does not enter C",
        "npu/job.py",
        "        if self.abandoned:\n            raise CancelledError",
        "        if False:\n            raise CancelledError",
        f"{NPU}::test_cancelling_before_the_thread_has_begun_keeps_the_run_out_of_c",
    ),
    _guard(
        "a token of another run is not read with those before it",
        "isolation/host_reader.py",
        "            if is_same_run:\n                return None\n",
        "",
        "isolation/test_frames.py::test_tokens_that_follow_each_other_are_read_together",
    ),
    _guard(
        "a head that says another size is no token",
        "isolation/host_reader.py",
        "if not is_token or hidden or logits or size != _IN_BODY + self._structure + text:",
        "if not is_token or hidden or logits:",
        "isolation/test_channel.py::test_what_is_no_frame_is_the_fault_of_the_child",
    ),
    _guard(
        "tokens one after another are not decoded by themselves amid a character",
        "runtime/run_text.py",
        "        if not self._is_inside:\n            try:",
        "        if True:\n            try:",
        "runtime/test_result_encoder.py"
        "::test_tokens_of_another_process_are_the_same_together_and_by_themselves",
    ),
    _guard(
        "end tokens are looked for among tokens that come together",
        "npu/turn.py",
        "job.aborted or self._has_ended or self._model.end_tokens",
        "job.aborted or self._has_ended",
        "npu/test_deliveries.py::test_tokens_that_come_together_are_taken_together",
    ),
    _guard(
        "an abort that came before C is repeated",
        "npu/turn.py",
        "            abort_quietly(self._runtime)\n        elif type",
        "            pass\n        elif type",
        f"{NPU}::test_a_cancel_that_comes_just_before_c_aborts_the_run_in_c",
    ),
    _guard(
        "what was given up streams no more",
        "npu/job.py",
        "if self.abandoned:\n                return\n            try:",
        "if False:\n                return\n            try:",
        f"{NPU}::test_cancelling_the_run_under_way_aborts_it",
    ),
    _guard(
        "a turn that is given up makes no further call",
        "npu/turn.py",
        "            job.check()\n            if job.in_run",
        "            if job.in_run",
        f"{TURN}::test_a_turn_that_is_given_up_between_its_calls_aborts_nothing",
    ),
    _guard(
        "between the calls of a turn nothing is aborted",
        "npu/job.py",
        "            self.in_run = False\n            return self.aborted",
        "            return self.aborted",
        f"{TURN}::test_a_turn_that_is_given_up_between_its_calls_aborts_nothing",
    ),
    _guard(
        "an abort concerns one run of a turn",
        "npu/job.py",
        "self.aborted = self.aborted and self.in_run",
        "pass",
        f"{TURN}::test_an_abort_concerns_only_the_run_during_which_it_came",
    ),
    _guard(
        "an abort between two calls of a turn concerns the next run",
        "npu/job.py",
        "                self._abort_waits = True\n",
        "                pass\n",
        f"{TURN}::test_an_abort_between_two_calls_of_a_turn_ends_the_next_run",
    ),
    _guard(
        "each call of a turn has timeouts of its own",
        "npu/turn.py",
        "            if not announced:\n",
        "            if False:\n",
        f"{SEQUENCE}::test_a_timeout_names_the_call_under_way",
        f"{TURN}::test_the_status_names_the_call_under_way",
    ),
    _guard(
        "no other call comes in between",
        "npu/queue.py",
        "            self._taken = True\n",
        "",
        f"{TURNS}::test_a_turn_comes_when_the_one_before_is_done",
    ),
    _guard(
        "the calls of a sequence need the client's rights",
        "methods/_sequence.py",
        "            self._check_rights(call)\n",
        "",
        f"{SEQUENCE}::test_what_is_for_administrators_stays_theirs",
    ),
    _guard(
        "the calls of a sequence are checked before the first",
        "methods/sequence.py",
        "        sequence.check()\n        done = call.npu.perform(sequence.perform,",
        "        done = call.npu.perform(lambda t: (sequence.check(), sequence.perform(t)),",
        f"{SEQUENCE}::test_a_wrong_call_is_refused_without_a_turn",
    ),
    _guard(
        "a run that fails ends a sequence",
        "methods/_sequence.py",
        'if result.get("_callback_state") == RunState.ERROR:',
        "if False:",
        f"{SEQUENCE}::test_the_first_failure_ends_it",
    ),
    _guard(
        "a sequence has so many calls",
        "methods/sequence.py",
        "if not 0 < len(calls) <= MAX_CALLS:",
        "if not calls:",
        f"{SEQUENCE}::test_the_number_of_calls_is_limited",
    ),
    _guard(
        "the arrays of a sequence are limited",
        "methods/_sequence.py",
        "if self._array_bytes >= MAX_ARRAY_BYTES:",
        "if False:",
        f"{SEQUENCE}::test_the_arrays_of_one_sequence_are_limited",
    ),
    _guard(
        "only functions that wait for a turn are in a sequence",
        "methods/sequence.py",
        "if method is None or not _is_possible(method):",
        "if method is None:",
        f"{SEQUENCE}::test_every_call_is_checked_before_the_first_is_made",
    ),
    _guard(
        "an outcome comes once",
        "npu/job.py",
        "if self.abandoned or self.outcome.called:",
        "if False:",
        f"{NPU}::test_what_comes_of_a_cancelled_run_is_dropped_in_silence",
    ),
    _guard(
        "a daemon that stops takes no calls",
        "npu/thread.py",
        "if self._closed is not None or self._draining:",
        "if False:",
        f"{NPU}::test_close_answers_everybody_and_destroys_the_model",
    ),
    _guard(
        "the queue is limited",
        "npu/queue.py",
        "if length >= self._limit:",
        "if False:",
        f"{TURNS}::test_a_full_queue_refuses_with_its_length",
    ),
    _guard(
        "turns go round the clients",
        "npu/turn_order.py",
        "            self._clients.move_to_end(client)\n",
        "            self._clients.move_to_end(client, last=False)\n",
        f"{TURNS}::test_eight_requests_of_one_client_delay_another_by_one_turn",
    ),
    _guard(
        "a call is passed twice at most",
        "npu/turn_order.py",
        "if place.passed >= self._max_passes:",
        "if False:",
        f"{ORDER}::test_a_call_is_passed_twice_at_most",
    ),
    _guard(
        "a saved prompt is for prompts that begin with it",
        "chat/saved_prompts.py",
        "        and tokens[: len(one.tokens)] == one.tokens\n",
        "",
        "chat/test_saved_prompts.py::test_the_longest_beginning_is_restored",
    ),
    _guard(
        "a saved prompt that has changed is not used",
        "inference/prompt_store.py",
        "if self._files.stamp(saved.path) == saved.stamp:",
        "if True:",
        f"{SAVED}::test_a_file_that_another_program_has_changed_is_not_used",
    ),
    _guard(
        "a runtime that restores wrongly is found out before its answer",
        "inference/prompt_cache.py",
        "not is_aborted and run.has_right_size()",
        "True",
        f"{SAVED}::test_a_runtime_that_restores_wrongly_is_found_out",
    ),
    _guard(
        "an abort while a saved prompt is tried is the answer's",
        "inference/prompt_cache.py",
        "        if is_aborted:\n            return _CANCELLED\n",
        "",
        f"{SAVED}::test_an_abort_while_a_saved_prompt_is_tried_is_the_answers",
    ),
    _guard(
        "an abort of the question for the width leaves the width unknown",
        "runtime/runtime.py",
        "            model.width = model.width or None  # which",
        "            # which",
        "runtime/test_model.py::test_an_abort_meanwhile_is_the_runs",
    ),
    _guard(
        "an abort after C has returned is between two calls",
        "npu/job.py",
        "            self.in_run = False\n            return self.aborted",
        "            return self.aborted",
        f"{TURN}::test_an_abort_after_c_has_returned_ends_the_next_run",
    ),
    _guard(
        "saved prompts are in a private directory",
        "inference/prompt_files.py",
        "stat.S_IMODE(found.st_mode) & 0o077",
        "False",
        f"{SAVED}::test_a_directory_that_cannot_be_used_costs_one_warning",
    ),
    _guard(
        "no run of another client finds a prompt loaded",
        "inference/cache_watch.py",
        "            self._has_left_prompt = self._has_prompt\n",
        "            self._has_left_prompt = False\n",
        f"{SAVED}::test_what_a_cancelled_request_has_loaded_is_released_before_the_next_call",
    ),
    _guard(
        "no call of rkllm.* is passed",
        "npu/turn_order.py",
        "            if place.continues is None:\n                break\n",
        "            if place.continues is None:\n                continue\n",
        f"{ORDER}::test_a_call_of_no_conversation_is_not_passed",
    ),
    _guard(
        "nobody reads on in another's history",
        "npu/history.py",
        "if self._owner not in (self._NOBODY, client):",
        "if False:",
        "npu/test_history.py::test_another_clients_run_begins_with_a_cleared_cache",
    ),
    _guard(
        "no full collection is made while many calls wait",
        "daemon/collector.py",
        "is_due and self._npu.status().queue_length <= FEW_CALLS",
        "is_due",
        "daemon/test_collector.py::test_a_full_collection_is_put_off_while_many_calls_wait",
    ),
    _guard(
        "what a library prints without an end holds nobody up",
        "isolation/process.py",
        "self._bytes_read + left, -1",
        "self._bytes_read + left * 2**40, -1",
        "isolation/test_supervisor.py::test_what_comes_while_output_is_read_waits",
    ),
    _guard(
        "an abort does not wait for a child that reads nothing",
        "isolation/channel.py",
        "self._sending.acquire(blocking=False)",
        "self._sending.acquire()",
        "endtoend/test_hostile_library.py::test_an_abort_that_never_returns_holds_nobody_up",
    ),
    # Time and pauses
    _guard(
        "timers follow the monotonic clock",
        "daemon/twistd.py",
        "        use_monotonic_time(reactor)\n",
        "",
        "daemon/test_monotonic.py::test_a_step_of_the_wall_clock_moves_no_timer_of_the_daemon",
    ),
    _guard(
        "heartbeats that are unread count",
        "isolation/heartbeat.py",
        "        self._read()\n",
        "",
        "isolation/test_heartbeat.py::test_heartbeats_that_are_unread_count",
    ),
    _guard(
        "a timer that fires late starts again",
        "rpc/deadline.py",
        "elif late > PAUSE_S:",
        "elif False:",
        "npu/test_timeouts.py::test_a_timer_that_fires_late_starts_again",
        "server/test_protocol.py::test_a_pause_of_the_daemon_does_not_drop_a_client_that_reads",
    ),
    _guard(
        "a client gets a last look before it is dropped for not reading",
        "server/outbox.py",
        "            self._transport.doWrite()  # the reactor may not have seen yet that it reads",
        "            pass",
        "server/test_protocol.py::test_a_client_that_has_just_read_is_not_dropped",
    ),
    _guard(
        "a child that cannot be started is a failed start",
        "isolation/supervisor.py",
        "            except OSError as error:  # no descriptor",
        "            except ZeroDivisionError as error:  # no descriptor",
        "isolation/test_supervisor.py::test_a_child_that_cannot_be_started_is_a_failed_start",
    ),
    # Permissions
    _guard(
        "who is not named is turned away",
        "rpc/permissions.py",
        "if not self.clients or peer in self.clients or peer in self.administrators:",
        "if True:",
        "rpc/test_permissions.py::test_who_is_not_named_is_told_which_options_say_who_is",
    ),
    _guard(
        "what is administrative is for administrators",
        "rpc/conversation.py",
        "if not self.administers and IAdministrative.providedBy(method):",
        "if False:",
        "rpc/test_permissions.py::test_a_marked_method_is_kept_from_who_does_not_administer",
    ),
    _guard(
        "a run's file is for administrators",
        "methods/_saving.py",
        'if isinstance(value, Mapping) and value.get("prompt_cache_params") is not None:',
        "if False:",
        "methods/test_methods.py::test_a_run_that_writes_a_file_is_for_administrators",
    ),
    # Files
    _guard(
        "no name leads out of the directories",
        "runtime/openat2.py",
        "RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS",
        "RESOLVE = 0",
        "runtime/test_openat2.py::test_no_name_leads_out",
        "runtime/test_openat2.py::test_who_swaps_links_in_a_loop_never_wins",
    ),
    _guard(
        "step by step no link is followed",
        "runtime/openat2.py",
        "        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)",
        "        return os.open(part, flags, dir_fd=directory)",
        "runtime/test_openat2.py::test_no_link_leads_out",
    ),
    _guard(
        "step by step nothing goes up",
        "runtime/openat2.py",
        'if ".." in parts or name.startswith("/"):',
        "if False:",
        "runtime/test_openat2.py::test_no_name_leads_out",
    ),
    _guard(
        "C opens what was looked at",
        "runtime/files.py",
        "call = _placed(call, file, descriptor.path, descriptor)",
        "pass",
        "runtime/test_files.py::test_c_opens_what_was_looked_at",
    ),
    _guard(
        "C opens files only",
        "runtime/files.py",
        "    if not stat.S_ISREG(mode):\n        raise",
        "    if False:\n        raise",
        "runtime/test_files.py::test_what_is_no_file_is_refused_without_opening_it",
    ),
    _guard(
        "what is not whole takes no place",
        "runtime/atomic_save.py",
        'yield f"/proc/self/fd/{directory}/{name}"',
        'yield f"/proc/self/fd/{parent}/{name}"',
        "runtime/test_atomic_save.py::test_a_call_that_fails_leaves_the_old_file",
    ),
    # The log
    _guard(
        "prompts are logged only if that is asked for",
        "rpc/conversation.py",
        "            if dispatcher.access_log.prompts:",
        "            if True:",
        "rpc/test_access_log.py::test_prompts_are_logged_only_if_that_is_asked_for",
    ),
    _guard(
        "a flood does not fill the disk",
        "rpc/access_log.py",
        "return self._lines <= LINES_PER_SECOND",
        "return True",
        "rpc/test_access_log.py::test_a_flood_of_requests_does_not_fill_the_disk",
    ),
    _guard(
        "a client's text begins no line of the log",
        "daemon/log_formats.py",
        """return text.replace("\\r", "\\\\r").replace("\\n", "\\n\\t")""",
        "return text",
        "daemon/test_log_formats.py::test_a_newline_in_a_word_begins_no_line_of_the_log",
    ),
    _guard(
        "a reader of the log that stands still blocks nothing",
        "daemon/log_output.py",
        "while data and self._has_room(deadline):",
        "while data:",
        "daemon/test_log_output.py::test_a_reader_that_stands_still_costs_one_short_wait",
    ),
    _guard(
        "a reader of the log that stands still costs one wait",
        "daemon/log_output.py",
        "(0.0 if self._is_stalled else STALL_S)",
        "STALL_S",
        "daemon/test_log_output.py::test_a_reader_that_stands_still_costs_one_short_wait",
    ),
    _guard(
        "SIGUSR1 without a log file is ignored",
        "daemon/program.py",
        "        _ignore_rotation(reactor)\n",
        "",
        "endtoend/test_log.py::test_sigusr1_without_a_logfile_is_ignored_and_said",
    ),
    # Settings
    _guard(
        "an empty list does not admit every user",
        "daemon/settings.py",
        "if source and not texts:",
        "if False:",
        "daemon/test_config.py::test_an_empty_list_in_the_environment_is_refused",
    ),
    _guard(
        "a mode in a file stands in quotes",
        "daemon/settings.py",
        "if setting.is_number and isinstance(value, (int, float))",
        "if isinstance(value, (int, float))",
        "daemon/test_config.py::test_a_mistake_is_named_with_what_would_be_right",
    ),
    # One connection's requests
    _guard(
        "a connection has its share of requests",
        "rpc/conversation.py",
        "if count >= self._limits.max_requests and method.name not in self.dispatcher.uncounted:",
        "if False:",
        f"{TALK}::test_too_many_requests_under_way_are_refused_at_once",
    ),
    _guard(
        "a cancel gets through a full share",
        "rpc/conversation.py",
        " and method.name not in self.dispatcher.uncounted",
        "",
        f"{TALK}::test_what_ends_or_looks_at_work_always_gets_through",
    ),
    _guard(
        "an id under way is not used again",
        "rpc/conversation.py",
        "if raw_id is not None and jsonrpc.id_of(raw_id) in self._under_way:",
        "if False:",
        f"{TALK}::test_an_id_under_way_is_refused_and_the_first_goes_on",
    ),
    _guard(
        "a stream is not part of a batch",
        "rpc/conversation.py",
        "if in_batch and (method.streams or self._closed):",
        "if in_batch and self._closed:",
        f"{TALK}::test_a_streaming_method_is_refused_in_a_batch",
    ),
    _guard(
        "answers are not answered",
        "rpc/conversation.py",
        "        else:  # a reply\n            return None",
        "        else:  # a reply\n            return b'{}'",
        TABLE,
    ),
    _guard(
        "a notification is never answered",
        "rpc/call.py",
        "reply, entry = None, self.entry",
        "reply, entry = b'{}', self.entry",
        TABLE,
    ),
    _guard(
        "nothing is streamed after the answer",
        "rpc/call.py",
        "if not self.is_open or entry.id is None:",
        "if entry.id is None:",
        f"{TALK}::test_nothing_is_streamed_after_the_answer",
    ),
    _guard(
        "a fault of a message costs only that message",
        "rpc/conversation.py",
        "except Exception:  # noqa: BLE001 - a fault of ours",
        "except ZeroDivisionError:  # noqa: BLE001 - a fault of ours",
        f"{TALK}::test_a_fault_in_the_daemon_itself_is_answered",
    ),
    # Messages
    _guard(
        "a netstring has a greatest length",
        "server/receive_buffer.py",
        "self._max_length = max_length",
        "self._max_length = 2**40",
        f"{WIRE}::test_broken_framing_gets_one_error_and_the_end",
    ),
    _guard(
        "a line has a greatest length",
        "wire/lines.py",
        "if len(self._buffer) + len(text) > self._max_length:",
        "if False:",
        f"{FRAMING}::test_a_line_may_have_the_limit_and_no_byte_more",
    ),
    _guard(
        "nesting is limited",
        "wire/validation.py",
        ' levels." if brackets else None',
        ' levels." if False else None',
        f"{JSON}::test_depth_is_counted_with_both_brackets",
    ),
    _guard(
        "arrays and objects are counted",
        "wire/validation.py",
        "if len(brackets) > 2 * MAX_CONTAINERS:",
        "if False:",
        TABLE,
    ),
    _guard(
        "a member comes once",
        "wire/jsonrpc.py",
        "if (repeated := validation.repeated_member(text)) is not None:",
        "if (repeated := validation.repeated_member(text)) is not None and False:",
        TABLE,
    ),
    _guard(
        "text is UTF-8, without surrogates",
        "wire/validation.py",
        "    if text.isascii():",
        "    if True:",
        TABLE,
    ),
    _guard(
        "a batch has a greatest length",
        "wire/jsonrpc.py",
        "if len(members) > MAX_BATCH:",
        "if False:",
        TABLE,
    ),
    _guard(
        "an id is short, and a string, a number or null",
        "wire/jsonrpc.py",
        "if raw_id is not None and not _usable_id(raw_id):",
        "if False:",
        TABLE,
    ),
    _guard(
        "NaN leaves as null",
        "wire/encoding.py",
        "values = shortest(float32s(floats.data))",
        "values = [str(value) for value in float32s(floats.data)]",
        f"{JSON}::test_what_is_no_number_leaves_as_null",
    ),
    # One connection's time and memory
    _guard(
        "a turn has so many messages",
        "server/protocol.py",
        "for _ in range(self._shared.limits.messages_per_turn):",
        "for _ in range(10**9):",
        f"{WIRE}::test_one_client_cannot_stall_the_others",
    ),
    _guard(
        "a read is parsed in slices",
        "server/receive_buffer.py",
        "PARSE_CHUNK = 4096",
        "PARSE_CHUNK = 2**30",
        f"{WIRE}::test_thousands_of_empty_messages_are_not_parsed_at_once",
    ),
    _guard(
        "a turn reads from so many sockets",
        "server/transport.py",
        "            left -= len(events)\n",
        "            left = READS_PER_TURN if self._members else 0\n",
        "server/test_read_group.py::test_a_turn_reads_so_many_and_the_next_the_others",
    ),
    _guard(
        "who has left nobody behind is not waited for",
        "server/transport.py",
        "if why is CONNECTION_DONE and not has_gone(transport):",
        "if why is CONNECTION_DONE:",
        "server/test_read_group.py::test_an_end_with_nobody_left_to_read_is_the_end",
    ),
    _guard(
        "the connections share a turn of the reactor",
        "server/fairness.py",
        "return self._spent < TURN_BUDGET_S\n",
        "return True\n",
        SHARING,
    ),
    _guard(
        "all input together is limited",
        "server/fairness.py",
        "if self.total > self._limit and",
        "if False and",
        SHARING,
    ),
    _guard(
        "who does not read is not read",
        "server/protocol.py",
        'if self._is_ending or self._reading or "unread" in self._not_reading:',
        "if self._is_ending or self._reading:",
        f"{WIRE}::test_who_does_not_read_is_not_read",
    ),
    _guard(
        "what takes long to read is read elsewhere",
        "server/protocol.py",
        " and is_heavy(string):",
        " and False:",
        "endtoend/test_big_messages.py::test_others_are_answered_while_it_is_read",
    ),
    _guard(
        "what follows a big message waits for it",
        "server/protocol.py",
        'if self._is_ending or self._reading or "unread" in self._not_reading:',
        'if self._is_ending or "unread" in self._not_reading:',
        "offload/test_server.py::test_what_follows_waits",
    ),
    _guard(
        "a message has so many values",
        "offload/messages.py",
        "if self._left < 0:",
        "if False:",
        "offload/test_messages.py::test_too_many_values_are_refused",
    ),
    _guard(
        "what a client leaves unread is limited",
        "server/outbox.py",
        "if self._is_too_much():",
        "if False:",
        f"{WIRE}::test_a_stream_to_nobody_is_bounded",
    ),
    _guard(
        "who reads nothing is dropped in time",
        "server/outbox.py",
        'self._give_up(f"it read nothing',
        'str(f"it read nothing',
        f"{WIRE}::test_who_reads_nothing_for_30_seconds_is_dropped",
    ),
    _guard(
        "a transport gets no more than it passes on",
        "server/outbox.py",
        "while self._waiting and not self._paused:",
        "while self._waiting:",
        f"{WIRE}::test_a_big_answer_goes_out_in_slices",
    ),
    _guard(
        "a big netstring's buffer is given back",
        "wire/framing.py",
        "del self._buffer[:start]  # and with it the memory",
        "self._buffer[:start] = b' ' * start",
        f"{WIRE}::test_a_big_messages_buffer_is_given_back",
    ),
    _guard(
        "a half-closed client is watched",
        "server/protocol.py",
        'self._later("watch", GONE_CHECK_S, self._watch)',
        "pass",
        f"{WIRE}::test_a_half_closed_client_that_leaves_is_noticed_soon",
    ),
    _guard(
        "gone is told from half closed",
        "server/protocol.py",
        "if self._shared.has_gone(self.transport):",
        "if False:",
        f"{WIRE}::test_a_client_that_is_gone_is_noticed_at_once",
    ),
    _guard(
        "the kernel is asked who has gone",
        "server/peer.py",
        "return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))",
        "return False",
        SOCKET,
    ),
    _guard(
        "a closing connection waits so long for its reader",
        "server/protocol.py",
        'self._later("linger", patience, self.abort)',
        "pass",
        f"{WIRE}::test_a_peer_that_does_not_read_the_error_is_cut_off",
    ),
    _guard(
        "clients are counted",
        "server/state.py",
        "if len(self.connections) >= room and",
        "if False and",
        f"{WIRE}::test_a_client_too_many_is_told_in_its_framing",
    ),
    _guard(
        "a crowd is not even told",
        "server/state.py",
        "return len(self.turned_away) >= self._room_for(client)",
        "return False",
        f"{WIRE}::test_a_crowd_is_not_even_told",
    ),
    _guard(
        "a client with a reserve is served in spite of a crowd",
        "server/state.py",
        "return len(self.turned_away) >= self._room_for(client)",
        "return len(self.turned_away) >= self._max_clients",
        f"{WIRE}::test_a_client_with_a_reserve_is_served_in_spite_of_a_crowd",
    ),
    _guard(
        "all output together is limited",
        "server/outbox.py",
        "        self._on_held(self._held)\n",
        "",
        SHARING,
    ),
    _guard(
        "the replies to a batch are limited",
        "rpc/call.py",
        "return self._room <= 0",
        "return False",
        f"{TALK}::test_the_replies_to_a_batch_are_limited",
    ),
    _guard(
        "a refused message is forgotten",
        "rpc/dispatch.py",
        "error.__traceback__ = error.__context__ = error.__cause__ = None",
        "pass",
        "rpc/test_memory.py",
    ),
    _guard(
        "a message has so much time",
        "server/protocol.py",
        "self.turn_away(too_slow(limit))",
        "pass",
        f"{WIRE}::test_dripping_does_not_help",
    ),
    _guard(
        "a user has a share of the connections",
        "server/state.py",
        "if count < share:",
        "if True:",
        "rpc/test_permissions.py::test_a_user_has_a_share_of_the_connections",
    ),
    _guard(
        "root and administrators have a reserve",
        "server/state.py",
        "(RESERVED_CONNECTIONS if self._has_reserve(client) else 0)",
        "0",
        "rpc/test_permissions.py::test_root_and_administrators_have_room_when_there_is_none",
    ),
    _guard(
        "the log escapes what a terminal acts on",
        "daemon/log_formats.py",
        "else _printable(_utf8(text))",
        "else _utf8(text)",
        "daemon/test_log_formats.py::test_what_a_terminal_would_act_on_is_escaped",
    ),
    # The socket
    _guard(
        "one daemon holds the lock",
        "server/socket_file.py",
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        LISTEN,
    ),
    _guard(
        "the lock is on the file that is there",
        "server/socket_file.py",
        "if _identity(self.path) == _identity_of(os.fstat(fd)):",
        "if True:",
        f"{LISTEN}::test_a_lock_on_a_file_that_was_just_removed_is_taken_anew",
    ),
    _guard(
        "a live socket is not taken over",
        "server/socket_file.py",
        "    if _is_served(path):\n        raise",
        "    if False:\n        raise",
        f"{LISTEN}::test_another_programs_socket_is_not_stolen",
    ),
    _guard(
        "what is no socket is left alone",
        "server/socket_file.py",
        "if not stat.S_ISSOCK(found.st_mode):",
        "if False:",
        f"{LISTEN}::test_a_file_in_the_way_is_left_alone",
    ),
    _guard(
        "only our own socket is removed",
        "server/socket_file.py",
        "if self._ours is not None and _identity(self.path) == self._ours:",
        "if self._ours is not None:",
        LISTEN,
    ),
    _guard(
        "the socket has its mode from the start",
        "server/socket_file.py",
        "before = os.umask(0o777 if self._changes_hands() else 0o777 & ~self._mode)",
        "before = os.umask(0)",
        f"{LISTEN}::test_the_socket_never_has_a_wider_mode",
    ),
    _guard(
        "nobody may use a socket before it is whose it shall be",
        "server/socket_file.py",
        "before = os.umask(0o777 if self._changes_hands() else 0o777 & ~self._mode)",
        "before = os.umask(0o777 & ~self._mode)",
        f"{LISTEN}::test_a_socket_for_a_group_is_nobodys_until_it_is_the_groups",
    ),
    _guard(
        "no socket where anybody could replace it",
        "server/socket_file.py",
        "if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:",
        "if False:",
        f"{LISTEN}::test_a_directory_that_anybody_may_write_to_is_refused",
    ),
    # systemd
    _guard(
        "a hung runtime does not feed the watchdog",
        "systemd/service.py",
        "if is_due and self._is_alive():",
        "if is_due:",
        f"{REPORTS}::test_a_service_that_hangs_does_not_feed_the_watchdog",
    ),
    _guard(
        "a model's name adds no assignment",
        "systemd/sd_daemon.py",
        "{value.translate(_CONTROL)}",
        "{value}",
        f"{REPORTS}::test_a_models_name_cannot_add_an_assignment",
    ),
    _guard(
        "another process's sockets are not adopted",
        "systemd/sd_daemon.py",
        "return given[pid] == str(os.getpid()) if pid in given else unless_said",
        "return True",
        "systemd/test_sd_daemon.py",
    ),
    _guard(
        "systemd's socket is not shut down",
        "server/transport.py",
        "_shouldShutdown = False",
        "_shouldShutdown = True",
        "endtoend/test_systemd.py::test_the_passed_socket_is_left_as_it_was",
    ),
    # Plugins
    _guard(
        "two methods of one name are refused",
        "rpc/registry.py",
        "if methods.setdefault(method.name, method) is not method:",
        "if methods.setdefault(method.name, method) is None:",
        "rpc/test_registry.py::test_two_methods_with_one_name_are_refused",
    ),
    _guard(
        "what the release lacks is not described",
        "daemon/self_description.py",
        "if m.releases",
        "if True",
        "description/test_openrpc.py::test_it_is_that_of_the_loaded_release",
    ),
    _guard(
        "a third party's odd class is described as anything",
        "description/annotations.py",
        "except Exception:  # noqa: BLE001 - such as a name that only a type checker resolves",
        "except ZeroDivisionError:",
        "description/test_openrpc.py::test_what_cannot_be_described_is_anything",
    ),
    _guard(
        "some names are reserved",
        "rpc/registry.py",
        "reserved = name.startswith(RESERVED)",
        "reserved = False",
        "rpc/test_registry.py",
    ),
    # C
    _guard(
        "a string holds no NUL",
        "abi/scalars.py",
        'if "\\0" in value:',
        "if False:",
        SCALARS,
    ),
    _guard(
        "a whole number fits its type",
        "abi/scalars.py",
        "if not least <= value <= greatest:",
        "if False:",
        SCALARS,
    ),
    _guard(
        "a fraction is no whole number",
        "abi/scalars.py",
        "isinstance(value, float) and value.is_integer()",
        "isinstance(value, float)",
        SCALARS,
    ),
    _guard(
        "a float is finite",
        "abi/scalars.py",
        "if not math.isfinite(number):",
        "if False:",
        SCALARS,
    ),
    _guard(
        "the floats of an array are finite",
        "abi/arrays.py",
        'if element.code == "f" and not _all_finite(numbers, data):',
        "if False:",
        ARRAYS,
    ),
    _guard(
        "an array has the length of its shape",
        "abi/arrays.py",
        "if len(data) != expected:",
        "if False:",
        ARRAYS,
    ),
    _guard(
        "a late callback reaches nobody",
        "runtime/callback.py",
        "if run is not None and userdata == run.number:",
        "if run is not None:",
        RUNS,
    ),
    _guard(
        "no exception crosses into C",
        "runtime/callback.py",
        "except BaseException as failure:",
        "except ZeroDivisionError as failure:",
        RUNS,
    ),
    _guard(
        "the callback outlives its runtime",
        "runtime/local_caller.py",
        "_FOR_EVER.append(trampoline)",
        "pass",
        RUNS,
    ),
    _guard(
        "a second init destroys the first model",
        "runtime/runtime.py",
        "        if self.loaded:\n            self._destroy()\n        handle",
        "        handle",
        "runtime/test_runtime.py::test_a_second_init_destroys_the_first_model",
    ),
    # The rkllm command
    _guard(
        "a terminal gets no control characters",
        "cli/terminal.py",
        "text.translate(_PRINTABLE) if is_terminal(sys.stdout) else text",
        "text",
        "cli/test_terminal.py::test_a_terminal_gets_no_control_characters",
    ),
    _guard(
        "doctor looks at the daemon's rights, not at one's own",
        "board/machine.py",
        "account if daemon.pid is None else owner(files, daemon.pid, account)",
        "account",
        "board/test_checks.py::test_the_daemons_account_counts_where_it_answers",
    ),
    # Chat
    _guard(
        "what a message says of control tokens is letters",
        "chat/vocabulary.py",
        "        if self._guarded.isdisjoint(ids):",
        "        if True:",
        "chat/test_vocabulary.py::test_no_text_becomes_a_control_token",
    ),
    _guard(
        "a template that decides by its own control tokens is refused",
        "chat/template.py",
        'if "".join(one if isinstance(one, str) else one.text for one in pieces) != plain:',
        "if False:",
        "chat/test_template.py::test_a_template_that_cannot_be_used_is_refused",
    ),
    _guard(
        "a template multiplies no text beyond the bound",
        "chat/sandbox.py",
        'intercepted_binops = frozenset(["*", "**"])',
        "intercepted_binops = frozenset()",
        "chat/test_template.py::test_a_template_that_cannot_be_used_is_refused",
    ),
    _guard(
        "marks in messages are broken up where marks count in text",
        "chat/slot.py",
        "broken_up(piece, marks) if isinstance(piece, str)",
        "piece if isinstance(piece, str)",
        "chat/test_plan.py::test_tier_b_feeds_the_slots_of_the_template",
    ),
    _guard(
        "a client's own run does not read a conversation",
        "inference/cache_watch.py",
        "            self._remove_chat(runtime)",
        "            pass",
        "inference/test_chat.py::test_a_clients_own_run_does_not_read_a_conversation",
    ),
    _guard(
        "a cancelled answer is not taken for a whole one",
        "inference/chat_turn.py",
        "        turn.check()",
        "        pass",
        "inference/test_chat.py::test_a_cancelled_answer_is_forgotten_where_the_cache_has_no_size",
    ),
    _guard(
        "an answer that was aborted leaves an unknown cache",
        "inference/chat_turn.py",
        'if reason != "cancelled":',
        "if reason:",
        "inference/test_chat.py::test_after_an_abort_the_whole_conversation_is_read_again",
    ),
    _guard(
        "a request that was prepared for more room than the model has is prepared anew",
        "inference/model_turns.py",
        "room = turn.max_context_len or profile.chat.context",
        "room = profile.chat.context",
        "inference/test_chat.py"
        "::test_a_request_is_prepared_anew_if_the_model_was_loaded_with_less_room_meanwhile",
    ),
    _guard(
        "a document's score does not depend on what a library keeps of the run before",
        "inference/hidden_turn.py",
        "if held and _cache_size(turn) != held:",
        "if False:",
        "inference/test_other_methods.py::test_a_documents_score_does_not_depend_on_the_others",
    ),
    _guard(
        "a turn that is interrupted leaves an unknown cache",
        "chat/trail.py",
        "trail, self.trail = self.trail, None",
        "trail = self.trail",
        "chat/test_plan.py::test_a_turn_that_was_interrupted_leaves_an_unknown_cache",
    ),
    _guard(
        "a cache whose size does not fit is unknown",
        "chat/trail.py",
        "if unread not in (-1 if outcome.ended else 0, 0, 1) or unread > len(generated):",
        "if unread > len(generated):",
        "chat/test_plan.py::test_tier_a_trusts_no_cache_whose_size_does_not_fit",
    ),
    _guard(
        "another model's or adapter's cache is not gone on with",
        "chat/plan.py",
        "if trail is not None and trail.key == key and model.vocabulary is not None:",
        "if trail is not None and model.vocabulary is not None:",
        "chat/test_plan.py::test_another_model_or_adapter_begins_anew",
    ),
    _guard(
        "the beginning of a stop text is held back",
        "chat/marks.py",
        "held = self._held_from(text) if more else len(text)",
        "held = len(text)",
        "chat/test_stops.py::test_no_beginning_of_a_stop_text_leaks",
    ),
    _guard(
        "a request passes those that wait for another model a few times only",
        "models/swap_order.py",
        "one.passed < self._max_passes and now - one.since < self._max_wait for one in earlier",
        "now - one.since < self._max_wait for one in earlier",
        "models/test_swap_order.py::test_requests_for_the_loaded_model_pass_those_for_another_a_few_times",
    ),
    _guard(
        "a request runs on its own model, whatever a client has loaded before",
        "daemon/named_loads.py",
        "if path is None or last is None or last[1].load_number != loads:",
        "if path is None or last is None:",
        "daemon/test_resident_model.py::test_without_a_name_the_loaded_model_is_used_whoever_has_loaded_it",
        "daemon/test_resident_model.py::test_whatever_is_loaded_is_unloaded_without_a_name",
        "daemon/test_resident_model.py::test_a_client_that_loads_by_a_path_is_seen_after_a_name",
    ),
    _guard(
        "a model whose load was cancelled gets its adapters later",
        "daemon/named_loads.py",
        "if is_there and not self._missing:",
        "if is_there:",
        "daemon/test_resident_model.py::test_a_request_that_is_cancelled_while_its_model_loads_leaves_the_model_whole",
    ),
    _guard(
        "a load that fails fails all that wait for it",
        "daemon/resident_model.py",
        "self._requests.pop(number).outcome.errback(again(attempt.error))",
        "self._requests.pop(number)",
        "daemon/test_resident_model.py::test_those_that_could_not_pass_fail_with_a_failed_load_too",
    ),
    _guard(
        "a client that may not load models has none loaded in place of another's",
        "daemon/named_loads.py",
        "if not may_load:",
        "if False:",
        "daemon/test_resident_model.py::test_a_client_that_may_not_administer_loads_nothing_in_place_of_what_came_between",
    ),
    _guard(
        "a run ends at an end token that the runtime does not know",
        "npu/turn.py",
        "elif self._has_ended or self._model.is_end(result):",
        "elif self._has_ended:",
        "daemon/test_resident_model.py::test_a_run_of_any_client_ends_at_the_models_end_tokens",
    ),
    # HTTP
    _guard(
        "http: no other page may frame the chat page",
        "http/page_files.py",
        "frame-ancestors 'none'",
        "frame-ancestors *",
        "http/test_page.py::test_the_policy_forbids_what_the_page_does_not_need",
    ),
    _guard(
        "http: the chat page has its policy",
        "http/routes/root.py",
        "exchange.set_header(name, value)",
        "pass",
        "http/test_page.py::test_a_browser_gets_the_page",
    ),
    _guard(
        "http: the status tells no client of the daemon's own calls as its own",
        "http/daemon_row.py",
        "mine is not None and running",
        "running",
        "http/test_page.py::test_a_daemon_that_names_no_connection_claims_nothing",
    ),
    _guard(
        "http: a body that is too long is refused before it comes",
        "http/site.py",
        "if length is not None and length > self.limits.body:",
        "if False:",
        "http/test_channel.py::test_a_long_body_is_refused_before_it_comes",
    ),
    _guard(
        "http: a body in chunks is bounded",
        "http/site.py",
        "if before + more > self.limits.body:",
        "if False:",
        "http/test_channel.py::test_a_body_in_chunks_is_refused_when_it_gets_too_long",
    ),
    _guard(
        "http: all bodies together are bounded",
        "http/site.py",
        "if self.held + more > FULL_BODIES * self.limits.body:",
        "if False:",
        "http/test_channel.py::test_all_bodies_together_are_bounded",
    ),
    _guard(
        "http: connections are bounded",
        "http/site.py",
        "if len(self._channels) >= self.limits.connections:",
        "if False:",
        "http/test_channel.py::test_connections_are_bounded",
    ),
    _guard(
        "http: a request that does not arrive is given up",
        "http/channel.py",
        "self.callLater(ARRIVAL_S, self.transport.abortConnection)",
        "None",
        "http/test_channel.py::test_a_body_that_does_not_come_is_given_up",
    ),
    _guard(
        "http: a client that left is told from one that closed its half",
        "http/channel.py",
        "        self.probe()\n",
        "        pass\n",
        "http/test_tcp.py::test_a_client_that_leaves_during_the_prefill_frees_the_npu",
    ),
    _guard(
        "http: a client that leaves ends its run",
        "http/resource.py",
        "            running.cancel()\n",
        "            pass\n",
        "http/test_streams.py::test_a_client_that_leaves_during_the_prefill_ends_the_run",
    ),
    _guard(
        "server: what goes to a transport of TLS is not sent as plain text",
        "server/bare_socket.py",
        "isinstance(transport, tcp.Connection) and not transport.TLS",
        'hasattr(transport, "socket")',
        "http/test_tcp.py::test_a_client_is_served_over_tls",
    ),
    _guard(
        "http: a client that does not read is dropped",
        "http/streams.py",
        "self._clock.callLater(UNREAD_S, self._drop)",
        "None",
        "http/test_streams.py::test_a_client_that_reads_nothing_is_dropped",
    ),
    _guard(
        "http: a stream waits while its client does not read",
        "http/streams.py",
        "while waiting and not (self._is_paused or self._is_over or self._is_writing):",
        "while waiting:",
        "http/test_streams.py::test_a_client_that_does_not_read_is_dropped_and_costs_little",
    ),
    _guard(
        "http: a foreign Host is refused",
        "http/trust.py",
        "if not self.keys.is_needed and host is not None and not self.is_own(host):",
        "if False:",
        "http/test_trust.py::test_a_foreign_name_is_refused_without_a_key_only",
    ),
    _guard(
        "http: a foreign Origin is refused",
        "http/trust.py",
        "if origin is not None and not self.allows(origin, host):",
        "if False:",
        "http/test_trust.py::test_a_foreign_page_is_refused_before_its_body_comes",
    ),
    _guard(
        "http: a wrong key is refused",
        "http/keys.py",
        "if hmac.compare_digest(known, key):",
        "if True:",
        "http/test_trust.py::test_a_key_is_needed_if_there_are_any",
    ),
    _guard(
        "http: other machines are not served without a key",
        "http_service/assembly.py",
        "if not self.is_local(description)",
        "if False",
        "http_service/test_options.py::test_what_others_reach_needs_a_key_or_its_absence_said",
    ),
    _guard(
        "http: a socket of systemd's that other machines reach needs a key",
        "http_service/exposure.py",
        'return self.domain == "UNIX" or _is_loopback(self.address)',
        "return True",
        "http_service/test_options.py::test_a_passed_socket_that_others_reach_needs_a_key",
    ),
    _guard(
        "http: a file of keys that every user may read is found",
        "board/http_checks.py",
        "if not node.mode & 0o006:",
        "if True:",
        "board/test_http_checks.py::test_what_is_wrong_is_found",
    ),
    _guard(
        "fleet: nothing is run again after its first result",
        "fleet_service/retries.py",
        "        results == 0\n        and (",
        "        (",
        "fleet_service/test_retries.py::test_never_after_the_first_result",
    ),
    _guard(
        "fleet: a run that keeps history is not made again",
        "fleet_service/retries.py",
        "and (rule.with_history or not keeps_history)",
        "",
        "fleet_service/test_retries.py::test_before_the_first_result",
    ),
    _guard(
        "fleet: a history that another run has replaced is not continued",
        "fleet_service/board_runs.py",
        "        if why is not None:\n",
        "        if False:\n",
        "fleet_service/test_front.py::test_a_history_that_another_run_has_replaced_is_an_error",
    ),
    _guard(
        "fleet: a history is never continued on another board",
        "fleet_service/choice.py",
        "    if wanted.must is not None:\n",
        "    if False:\n",
        "fleet_service/test_choice.py::test_a_history_that_is_gone_is_an_error",
    ),
    _guard(
        "fleet: a history waits for its board when the connection was lost",
        "fleet_service/choice.py",
        '    if board is not None and board.status.get("offered") == model',
        '    if False and board is not None and board.status.get("offered") == model',
        "fleet_service/test_front.py::test_a_history_is_continued_after_a_lost_connection",
    ),
    _guard(
        "fleet: a front that has joined again waits for boards that come later",
        "fleet_service/front.py",
        "        self.line.boards.joined(self._reactor.seconds())\n",
        "",
        "fleet_service/test_front.py::test_what_waits_outlives_a_long_absence_of_the_router",
    ),
    _guard(
        "fleet: a board that was replaced takes nothing back by force",
        "fleet/wamp/offers.py",
        "            if self.yields:\n                self._give_way()\n                return\n",
        "",
        "crossbar/test_router.py::test_a_member_that_was_replaced_comes_back_when_its_name_is_free",
    ),
    _guard(
        "fleet: a board that was replaced offers nothing before its name is free",
        "fleet/wamp/offers.py",
        " or self._is_behind(offer):",
        ":",
        "fleet/test_offers.py::test_what_a_replaced_board_offers_anew_waits_for_its_name",
    ),
    _guard(
        "fleet: the end of a shared offer puts no board out",
        "fleet/wamp/offers.py",
        "            if offer.concurrency is None\n        ):",
        "        ):",
        "fleet/test_offers.py::test_a_shared_offer_that_the_router_ends_changes_nothing",
    ),
    _guard(
        "fleet: a board's key ends no registration of another board",
        "fleet/wamp/router.py",
        '        if (options or {}).get("force_reregister"):',
        "        if False:",
        "fleet/test_router.py::test_a_board_takes_by_force_what_is_its_own_only",
    ),
    _guard(
        "fleet: a board that was replaced is told",
        "fleet/wamp/session.py",
        "            self._unregistered(msg.registration)\n",
        "            pass\n",
        "crossbar/test_router.py::test_the_newer_member_of_a_name_replaces_the_older_one",
    ),
    _guard(
        "fleet: a board that has replaced another is seen to leave",
        "fleet/wamp/presence.py",
        "                del self._boards[number]\n",
        "                pass\n",
        "fleet/test_presence.py::test_a_board_that_has_replaced_another_is_seen_to_leave",
    ),
    _guard(
        "fleet: what is listed late replaces no newer connection of a board",
        "fleet/wamp/presence.py",
        "                if _board_of(details) not in self._boards.values():\n",
        "                if True:\n",
        "fleet/test_presence.py::test_what_is_listed_late_replaces_no_newer_connection_of_a_board",
    ),
    _guard(
        "fleet: a board makes one run at a time, by whichever URI",
        "fleet_service/board_runs.py",
        "        if self.under_way:\n            raise",
        "        if False:\n            raise",
        "fleet_service/test_board.py::test_a_second_run_is_refused_while_one_is_under_way",
    ),
    _guard(
        "fleet: a board whose daemon has one history for all offers nothing",
        "fleet_service/published.py",
        " or has_shared_history(status):",
        ":",
        "fleet_service/test_front.py::test_a_board_with_one_history_for_all_gets_nothing",
    ),
    _guard(
        "fleet: a front's key may not load",
        "fleet_service/board_runs.py",
        "        if request.method not in RUNS:\n",
        "        if False:\n",
        "fleet_service/test_board.py::test_what_a_board_does_not_do_for_a_front",
    ),
    _guard(
        "fleet: the router has no store, whose queue ignores limits",
        "fleet/router_config.py",
        '"realms": [{"name": REALM, "roles": _roles()}]',
        '"realms": [{"name": REALM, "roles": _roles(), "store": {"type": "memory"}}]',
        "fleet/test_router_config.py::test_there_is_no_store_and_a_ping_finds_boards_that_hang",
    ),
    *(
        _guard(
            f"fleet: boards share a URI by roundrobin and not by {policy}",
            "fleet/wamp/offers.py",
            'invoke="roundrobin"',
            f'invoke="{policy}"',
            "crossbar/test_router.py::test_a_shared_uri_goes_to_boards_without_a_call",
        )
        for policy in ("random", "first", "last")
    ),
    _guard(
        "fleet: a place whose call was interrupted is registered anew",
        "fleet/wamp/offers.py",
        "            offer.is_stale = True\n",
        "            pass\n",
        "crossbar/test_router.py::test_a_caller_that_breaks_off_frees_its_place",
    ),
    _guard(
        "fleet: a call asks for no details, which end its session",
        "fleet/wamp/engine.py",
        "CallOptions(on_progress=progress)",
        "CallOptions(on_progress=progress, details=True)",
        "crossbar/test_router.py::test_progressive_results_come_in_order_before_the_answer",
    ),
    _guard(
        "fleet: a call has no timeout, which keeps its place for ever",
        "fleet/wamp/engine.py",
        "CallOptions(on_progress=progress)",
        "CallOptions(on_progress=progress, timeout=1)",
        "crossbar/test_faults.py::test_a_call_takes_as_long_as_it_takes",
    ),
    _guard(
        "fleet: a call is cancelled by a mode that reaches the board",
        "fleet/wamp/session.py",
        "mode=message.Cancel.KILL)",
        "mode=message.Cancel.SKIP)",
        "crossbar/test_router.py::test_a_place_is_held_until_the_work_has_ended",
    ),
    _guard(
        "fleet: what is too large for the router is not sent",
        "fleet/payloads.py",
        "    if len(text) > MAX_SIZE:\n",
        "    if False:\n",
        "crossbar/test_router.py::test_what_is_too_large_is_not_sent",
    ),
    _guard(
        "fleet: an answer that is not streamed is not made twice",
        "fleet_service/front_inference.py",
        'asked({**given, "stream": True})',
        "asked(given)",
        "fleet_service/test_front.py::test_an_answer_that_has_begun_is_not_made_again",
    ),
    _guard(
        "fleet: a key that is replaced ends its session at the next looks",
        "fleet/wamp/router.py",
        "            if self._key(role, name) != key\n",
        "            if self._key(role, name) is None\n",
        "crossbar/test_router.py::test_a_key_that_is_replaced_ends_the_session_before_another_joins",
    ),
    _guard(
        "fleet: a key that is replaced ends its session before the new one's",
        "fleet/wamp/router.py",
        "            yield self._end(role, str(name))\n",
        "            pass\n",
        "crossbar/test_router.py::test_a_key_that_is_replaced_ends_the_session_that_proved_the_old_one",
    ),
    _guard(
        "fleet: a session that could not be ended is tried again",
        "fleet/wamp/router.py",
        "        if error is not None:\n            raise error\n",
        "",
        "fleet/test_router.py::test_a_session_that_could_not_be_ended_keeps_no_other_and_is_tried_again",
    ),
    _guard(
        "fleet: a key that is removed ends the sessions of its role alone",
        "fleet/wamp/router.py",
        'self.call("wamp.session.list", [role])',
        'self.call("wamp.session.list")',
        "crossbar/test_router.py::test_a_key_that_is_removed_ends_no_session_of_another_role",
    ),
    _guard(
        "isolation: a mark has the word of its call",
        "isolation/marks.py",
        "        if not hmac.compare_digest(word, self._word(number)):\n",
        "        if False:\n",
        f"{OUTPUT}::test_a_printed_mark_without_a_calls_word_changes_nothing",
        f"{OUTPUT}::test_another_childs_mark_is_a_line",
    ),
    _guard(
        "isolation: a mark that is printed again is a line",
        "isolation/output.py",
        "if call is not None and call <= self.call:",
        "if False:",
        f"{OUTPUT}::test_the_mark_of_an_earlier_call_printed_again_is_a_line",
    ),
    _guard(
        "isolation: a header of a frame is checked",
        "isolation/frames.py",
        "if zero or size > MAX_BODY_BYTES:",
        "if False:",
        "isolation/test_channel.py::test_what_is_no_frame_is_the_fault_of_the_child",
    ),
    _guard(
        "isolation: a frame is not longer than its rows",
        "isolation/host_reader.py",
        "if at != len(body):",
        "if False:",
        "isolation/test_channel.py::test_what_is_no_frame_is_the_fault_of_the_child",
    ),
    _guard(
        "isolation: a call has a greatest length",
        "isolation/frames.py",
        "        if size > MAX_BODY_BYTES:\n            raise OverflowError",
        "        if False:\n            raise OverflowError",
        "isolation/test_frames.py::test_a_call_that_is_too_large_is_refused",
    ),
    _guard(
        "isolation: a call that is too large is the client's error",
        "isolation/remote_caller.py",
        "except OverflowError:",
        "except ZeroDivisionError:",
        "isolation/test_channel.py::test_a_call_that_no_frame_can_have_is_refused",
    ),
    _guard(
        "isolation: an array that was left out is said",
        "abi/result_copy.py",
        "if due and not data:",
        "if False:",
        f"{LATE}::test_arrays_that_no_frame_can_have_are_left_out",
    ),
    _guard(
        "host in C: that it starts does not say that it can run",
        "isolation/c_host.py",
        "if done.stderr.startswith(USAGE):",
        "if True:",
        "isolation/test_c_host.py::test_a_host_that_cannot_run_is_said_with_what_to_do",
    ),
    _guard(
        "host: a former run's callback is not taken",
        "isolation/host.py",
        " or call.frame.userdata != (userdata or 0):",
        ":",
        f"{LATE}::test_a_late_callback_neither_ends_nor_pauses_the_next_run",
    ),
    _guard(
        "host: the end of a run that was not entered is not waited for",
        "isolation/host.py",
        " and status == 0 and call.began:",
        " and status == 0:",
        f"{LATE}::test_a_run_that_was_aborted_before_it_was_entered_returns_at_once",
    ),
    _guard(
        "host: a connection that is full is waited for",
        "isolation/host_connection.py",
        "if isinstance(error, BlockingIOError):",
        "if False:",
        f"{LATE}::test_a_connection_that_the_library_made_non_blocking_loses_nothing",
    ),
    _guard(
        "host: files for which there is no room are said",
        "isolation/host.py",
        "if call.lacks_descriptors:",
        "if False:",
        "isolation/test_hosts.py::test_files_for_which_there_is_no_room_are_said",
    ),
    _guard(
        "host: arrays have room in their frame",
        "isolation/host_memory.py",
        "if hidden[1] + logits[1] > room:",
        "if False:",
        f"{LATE}::test_arrays_of_several_rows_share_a_frame",
    ),
    _guard(
        "host in C: a SIGTERM to the whole group does not end it",
        "../cpu_runtime/src/host/main.c",
        "signal(SIGTERM, SIG_IGN);",
        "",
        "isolation/test_hosts.py::test_a_signal_to_the_whole_group_does_not_end_the_host",
    ),
    _guard(
        "host in C: a former run's callback is not taken",
        "../cpu_runtime/src/host/host.c",
        " && call->parts.call->userdata == userdata;",
        " && (userdata | 1);",
        f"{LATE}::test_a_late_callback_neither_ends_nor_pauses_the_next_run",
    ),
    _guard(
        "host in C: the end of a run that was not entered is not waited for",
        "../cpu_runtime/src/host/host.c",
        "if (status == 0 && call->began && ",
        "if (status == 0 && ",
        f"{LATE}::test_a_run_that_was_aborted_before_it_was_entered_returns_at_once",
    ),
    _guard(
        "host in C: a connection that is full is waited for",
        "../cpu_runtime/src/host/connection.c",
        "    case EAGAIN:\n        poll(&one, 1, -1);\n        return true;\n",
        "    case EAGAIN:\n        return (void)one, false;\n",
        f"{LATE}::test_a_connection_that_the_library_made_non_blocking_loses_nothing",
    ),
    _guard(
        "host in C: files for which there is no room are said",
        "../cpu_runtime/src/host/host.c",
        "if (call->lacks_descriptors) fail_without_room();",
        "(void)fail_without_room;",
        "isolation/test_hosts.py::test_files_for_which_there_is_no_room_are_said",
    ),
    _guard(
        "host in C: arrays have room in their frame",
        "../cpu_runtime/src/host/callback.c",
        "return numbers > FRAME_MAX_BODY / sizeof(float) ? 0 : numbers * sizeof(float);",
        "return numbers * sizeof(float) & FRAME_MAX_BODY;",
        f"{LATE}::test_arrays_that_no_frame_can_have_are_left_out",
    ),
    _guard(
        "host in C: a call whose size is not that of its parts is damaged",
        "../cpu_runtime/src/host/frames.c",
        "start + call->block_size != size || ",
        "",
        "isolation/test_hosts.py::test_a_call_that_is_longer_than_its_parts_ends_the_host",
    ),
    _guard(
        "http: waiting requests of one client are bounded",
        "http/lane.py",
        "if self.waiting >= MAX_WAITING:",
        "if False:",
        "http/test_lane.py::test_the_requests_that_wait_are_bounded",
    ),
    _guard(
        "structured: a call whose arguments do not fit its schema is asked for anew",
        "inference/checked_turns.py",
        "if all(fits)",
        "if True",
        f"{CHECKED}::test_a_call_is_asked_for_until_it_is_valid",
    ),
    _guard(
        "structured: a number that the limit has cut is not taken for a whole one",
        "inference/checked_turns.py",
        'reason = "length" if is_cut else "stop"',
        'reason = "length" if is_cut and not check.fits else "stop"',
        f"{CHECKED}::test_an_answer_that_the_limit_cuts_is_not_parsed",
    ),
    _guard(
        "structured: text that cannot become a call ends the attempt",
        "inference/checked_turns.py",
        "or (has_begun and isinstance(event, Content))",
        "",
        f"{CHECKED}::test_what_cannot_become_a_call_is_not_read_to_its_end",
    ),
    _guard(
        "structured: the arguments of a call have no white space that never ends",
        "structured/tool_form.py",
        '"x-guidance": {"whitespace_flexible": False}',
        '"x-guidance": {"whitespace_flexible": True}',
        "structured/test_white_space.py::test_the_arguments_of_a_call_have_none",
    ),
    _guard(
        "structured: a pattern that ends amid an escape is refused",
        "structured/form.py",
        "if isinstance(pattern, str) and (",
        "if False and (",
        "structured/test_form.py::test_a_wrong_form_is_named",
    ),
]


class Copy:
    """The package once more, in a directory of its own, to take a guard out of.

    Compiled modules are copied with their sources' times, so that only the changed one is compiled.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(ROOT / PACKAGE, directory / PACKAGE)
        shutil.copytree(ROOT / HOST, directory / HOST)

    def without(self, guard: Guard) -> str:
        """Run the guard's tests without it; what is wrong with the outcome, or nothing."""
        source, target = ROOT / PACKAGE / guard.file, self.directory / PACKAGE / guard.file
        text = source.read_text()
        if text.count(guard.text) != 1:
            return f"its text stands {text.count(guard.text)} times in {guard.file}"
        target.write_text(text.replace(guard.text, guard.without))
        times = source.stat()
        os.utime(target, (times.st_atime, times.st_mtime + 100))
        try:
            if target.suffix == ".c":
                self._build_host()
            return self._verdict(guard.tests)
        finally:
            shutil.copy2(source, target)
            built = self.directory / BUILT_HOST
            built.unlink(missing_ok=True)  # one that a test has left behind still runs
            shutil.copy2(ROOT / BUILT_HOST, built)

    def _build_host(self) -> None:
        sources = sorted((self.directory / HOST).glob("*.c"))
        command = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", *sources, "-lpthread", "-ldl"]
        subprocess.run([*command, "-o", self.directory / BUILT_HOST], check=True)

    def _verdict(self, tests: tuple[str, ...]) -> str:
        try:
            code, output = self.test(tests)
        except subprocess.TimeoutExpired:
            return ""  # that was noticed, too
        if code == FAILED or code < 0:  # killed by a signal: it crashed
            return ""
        return "no test notices its absence" if code == PASSED else f"pytest failed:\n{output}"

    def test(self, tests: tuple[str, ...], timeout_s: int = GUARD_TESTS_S) -> tuple[int, str]:
        """Run tests against the copy."""
        paths = [str(ROOT / "tests" / test) for test in tests]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short"]
        done = subprocess.run(
            [*command, f"--config-file={ROOT / 'pyproject.toml'}", f"--rootdir={ROOT}", *paths],
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        return done.returncode, done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}

    def imported_from(self) -> Path:
        """Where Python finds the package when the copy is to be tested."""
        command = [sys.executable, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"]
        done = subprocess.run(
            command, cwd=self.directory, env=self._environment(), capture_output=True, text=True
        )
        return Path(done.stdout.strip()).parent


def check(guards: list[Guard]) -> Iterator[tuple[Guard, str]]:
    """Take each guard out in turn; what is wrong, or nothing, for each."""
    if not guards:
        return  # pytest without a name would run all tests
    with tempfile.TemporaryDirectory() as directory:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(WORKERS):
            copies.put(Copy(Path(directory) / str(number)))
        _check_the_copy(copies, guards)

        def one(guard: Guard) -> str:
            copy = copies.get()
            try:
                return copy.without(guard)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(WORKERS) as pool:
            yield from zip(guards, pool.map(one, guards), strict=True)


def _check_the_copy(copies: SimpleQueue[Copy], guards: list[Guard]) -> None:
    """With all guards in place the tests pass, and it is the copy that they test."""
    copy = copies.get()
    assert copy.imported_from() == copy.directory / PACKAGE, copy.imported_from()
    every = sorted({test for guard in guards for test in guard.tests})
    code, output = copy.test(tuple(every), ALL_TESTS_S)
    assert code == PASSED, output
    copies.put(copy)


def main(names: list[str]) -> int:
    """Check the guards whose names hold one of the words; all of them without words.

    :returns: how many nobody would miss.
    """
    guards = [g for g in GUARDS if not names or any(name in g.name for name in names)]
    skipped = [] if CROSSBAR.exists() else [g for g in guards if g.needs_crossbar]
    guards = [g for g in guards if g not in skipped]
    for guard in skipped:
        print(f"skipped {guard.name} - Crossbar is not installed (make .venv-crossbar/installed)")
    begun, missed = time.monotonic(), 0
    for guard, problem in check(guards):
        missed += bool(problem)
        print(f"{'MISSED' if problem else 'held  '}  {guard.name} {problem and '- ' + problem}")
    seconds = time.monotonic() - begun
    held = f"{len(guards) - missed} of {len(guards)} guards are held"
    print(f"{held}, {len(skipped)} are skipped ({seconds:.0f} s)")
    return missed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))

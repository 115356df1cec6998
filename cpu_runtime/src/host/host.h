/* Calls the library's functions for the daemon, and sends back what they call back with. */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* What is known of an RKLLMResult: offsets in bytes; 0: the release has no such array. */
struct result_layout {
    uint32_t text, hidden_states, hidden_counts, logits, logits_counts, size;
    bool returns_int;  /* the callback returns a number (since 1.2.1) */
    bool keeps_arrays; /* the library keeps arrays until the callback releases them (1.3.0) */
};

enum { RESULT_MAX_BYTES = 1024 };

/* Makes the calls that come over the connection, in this thread, for ever. A thread of its own reads
 * the frames; when the connection ends it ends the process, whatever a call does. While rkllm_abort
 * does not return, it reads nothing, and the daemon kills the process.
 */
_Noreturn void host_serve(int connection, void *library, const struct result_layout *layout);

/* Prints one sentence on stderr, which is the daemon's log, and ends the process. */
_Noreturn void host_fail(const char *what, const char *why);

#endif

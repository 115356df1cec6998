/* One run under way. It is also what a playing engine knows as its host. */
#ifndef RKLLM_CPU_RUN_STATE_H
#define RKLLM_CPU_RUN_STATE_H

#include "perf.h"
#include "prompt.h"
#include "session.h"

struct engine_host {
    struct session *session;
    const struct request *request;
    struct prompt prompt;
    struct perf_clock clock;
    size_t reused; /* tokens of the prompt that were in a saved one */
    struct utf8_hold hold; /* half a character */
    char *text;            /* room for what text_out calls back with */
    size_t room;
    bool resumed;  /* it continues a paused one */
    bool paused;   /* the callback has returned 1 */
    bool open_end; /* what it leaves in the cache does not end with an end token */
};

static inline bool run_stopped(const struct engine_host *run) {
    return atomic_load(&run->session->stop);
}

#endif

/* One loaded model and its conversation. */
#ifndef RKLLM_CPU_SESSION_H
#define RKLLM_CPU_SESSION_H

#include <pthread.h>

#include "context.h"
#include "late_callback.h"
#include "lora.h"
#include "rng.h"
#include "prompt_cache.h"
#include "settings.h"
#include "template.h"
#include "utf8.h"
#include "wait.h"

/* A run excludes everything but abort and is_running; other work excludes runs, but only briefly,
 * so a run waits for it. */
enum session_state { SESSION_IDLE, SESSION_WORKING, SESSION_RUNNING };

struct session {
    /* Fixed when the model is opened. */
    struct settings settings;
    struct callbacks callbacks;
    const engine *engine;
    engine_model *model;
    const engine_facts *facts;
    int log_level;

    /* Of whoever has entered the session. */
    struct context context;
    struct template template;
    struct rng random;
    struct late_callback *late;
    struct loras loras;
    struct prompt_cache saved; /* the loaded prompt */
    bool paused;         /* a callback returned 1; the next run continues */
    bool paused_history; /* that run was told to keep its history */
    bool turn_open;      /* the last answer has no end token */
    struct utf8_hold held; /* of the paused run */

    /* Of everybody, under the lock. */
    struct wait wait;
    enum session_state state;
    bool closing;
    bool has_runner, has_thread;
    pthread_t runner; /* who runs; valid while has_runner */
    pthread_t thread; /* rkllm_run_async's, to be joined; valid while has_thread */
    atomic_bool stop; /* read without the lock too */
};

/* Takes over `settings`. Returns ENGINE_OK, ENGINE_REFUSED after logging why, or
 * ENGINE_NULL_HANDLE. */
int session_open(struct session **made, struct settings *settings,
                 const struct callbacks *callbacks);

/* Nobody else may be in the session, nor enter it. */
void session_free(struct session *session);

/* Wait for other work and begin one's own. False, after logging, while a run is under way. */
bool session_enter(struct session *session, enum session_state state);
void session_leave(struct session *session);

/* A run belongs to the thread that calls this. */
void session_claim(struct session *session);
bool session_is_mine(struct session *session);

bool session_abort(struct session *session); /* false when nothing runs */
bool session_is_running(struct session *session);
void session_close(struct session *session); /* abort, and let nobody in any more */

/* Sleep; false when woken by an abort. */
bool session_sleep(struct session *session, double ms);

/* Forget the conversation, or all of it but the system prompt. */
void session_forget(struct session *session, bool keep_system);

#endif

/* The exported functions: each checks what it was given and hands over. */
#include <stdlib.h>

#include "abi.h"
#include "engines.h"
#include "log.h"
#include "registry.h"
#include "run.h"

static int refuse(const char *function, const char *why) {
    log_error("%s: %s", function, why);
    return -1;
}

const char *rkllm_cpu_backend(void) {
    return engines_about();
}

const char *rkllm_cpu_problem(void) {
    return engines_problem();
}

const char *rkllm_cpu_limits(void) {
    return engines_limits();
}

RKLLMParam rkllm_createDefaultParam(void) {
    return abi_default_param();
}

/* ---- Loading ---- */

static int init(LLMHandle *handle, const RKLLMParam *param, const struct callbacks *callbacks) {
    struct settings settings;
    struct session *session = NULL;
    if (!handle) return refuse("rkllm_init", "handle is NULL");
    *handle = NULL;
    if (!param) return refuse("rkllm_init", "param is NULL");
    if (!callbacks->result) return refuse("rkllm_init", "the result callback is NULL");
    const char *fault = abi_read_param(param, &settings);
    if (fault) return refuse("rkllm_init", fault);
    int code = session_open(&session, &settings, callbacks);
    if (code == ENGINE_NULL_HANDLE) return 0;
    if (code != ENGINE_OK) return -1;
    *handle = registry_add(session);
    if (*handle) return 0;
    session_free(session);
    return refuse("rkllm_init", "there is not enough memory");
}

#if RKLLM_ABI >= 10300
int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback) {
    struct callbacks callbacks = {0};
    if (callback) {
        callbacks = (struct callbacks){
            callback->result_callback,    callback->result_userdata,
            callback->tokenizer_callback, callback->tokenizer_userdata,
            callback->embed_callback,     callback->embed_userdata,
        };
    }
    return init(handle, param, &callbacks);
}
#else
int rkllm_init(LLMHandle *handle, RKLLMParam *param, LLMResultCallback callback) {
    return init(handle, param, &(struct callbacks){.result = callback});
}
#endif

int rkllm_destroy(LLMHandle handle) {
    struct session *session = registry_acquire(handle, "rkllm_destroy");
    if (!session) return -1;
    bool mine = session_is_mine(session) || late_callback_is_here();
    registry_release(session);
    if (mine) return refuse("rkllm_destroy", "called from a callback");
    session = registry_remove(handle);
    if (!session) return refuse("rkllm_destroy", "somebody else is destroying it");
    session_free(session);
    return 0;
}

/* ---- Running ---- */

/* Read what a run was asked for, and enter the session for it. */
static bool begin(struct session *session, const char *function, const RKLLMInput *input,
                  const RKLLMInferParam *infer, void *userdata, struct request *request) {
    const char *fault = "the input is NULL";
    if (input) {
        fault = abi_read_run(input, infer, &session->settings, (size_t)session->facts->n_embd,
                             request);
    }
    if (fault) {
        refuse(function, fault);
        return false;
    }
    request->userdata = userdata;
    if (session_enter(session, SESSION_RUNNING)) return true;
    request_free(request);
    return false;
}

static int perform(struct session *session, struct request *request) {
    session_claim(session);
    int code = run_perform(session, request);
    request_free(request);
    session_leave(session);
    return code;
}

int rkllm_run(LLMHandle handle, RKLLMInput *rkllm_input, RKLLMInferParam *rkllm_infer_params,
              void *userdata) {
    int code = -1;
    struct request request;
    struct session *session = registry_acquire(handle, "rkllm_run");
    if (!session) return -1;
    if (begin(session, "rkllm_run", rkllm_input, rkllm_infer_params, userdata, &request)) {
        code = perform(session, &request);
    }
    registry_release(session);
    return code;
}

/* What the thread of rkllm_run_async is given, and frees. */
struct job {
    struct session *session;
    struct request request;
};

static void *run_job(void *argument) {
    struct job *job = argument;
    struct session *session = job->session;
    perform(session, &job->request);
    free(job);
    registry_release(session);
    return NULL;
}

static bool start_thread(struct session *session, struct job *job) {
    pthread_t before;
    pthread_mutex_lock(&session->wait.lock);
    bool join = session->has_thread;
    before = session->thread;
    session->has_thread = pthread_create(&session->thread, NULL, run_job, job) == 0;
    bool started = session->has_thread;
    pthread_mutex_unlock(&session->wait.lock);
    if (join) pthread_join(before, NULL); /* its run is over, or this one had not begun */
    return started;
}

int rkllm_run_async(LLMHandle handle, RKLLMInput *rkllm_input,
                    RKLLMInferParam *rkllm_infer_params, void *userdata) {
    struct job *job = calloc(1, sizeof *job);
    if (!job) return refuse("rkllm_run_async", "there is not enough memory");
    struct session *session = registry_acquire(handle, "rkllm_run_async");
    bool begun = session && begin(session, "rkllm_run_async", rkllm_input, rkllm_infer_params,
                                  userdata, &job->request);
    /* The thread holds the session for itself: it may outlive this call, or the other way round. */
    job->session = begun ? registry_acquire(handle, "rkllm_run_async") : NULL;
    bool started = job->session && start_thread(session, job);
    if (!started) {
        if (job->session) registry_release(session);
        if (begun) {
            request_free(&job->request);
            session_leave(session);
        }
        free(job);
    }
    if (session) registry_release(session);
    return started ? 0 : -1;
}

int rkllm_abort(LLMHandle handle) {
    struct session *session = registry_acquire(handle, "rkllm_abort");
    if (!session) return -1;
    bool aborted = session_abort(session);
    registry_release(session);
    return aborted ? 0 : refuse("rkllm_abort", "no run is under way");
}

int rkllm_is_running(LLMHandle handle) {
    struct session *session = registry_acquire(handle, "rkllm_is_running");
    if (!session) return -1;
    int running = session_is_running(session);
    registry_release(session);
    return running;
}

#include "session.h"

#include <stdlib.h>

#include "abi.h"
#include "callback.h"
#include "engines.h"
#include "limits.h"
#include "log.h"
#include "perf.h"
#include "processors.h"

/* ---- Opening ---- */

static const char *settings_fault(const struct settings *settings) {
    if (!*settings->model_path) return "model_path is missing";
    if (settings->n_ctx <= 0) return "max_context_len is not positive";
    if (settings->n_batch < 1 || settings->n_batch > MAX_BATCH) {
        return "n_batch is not between 1 and 100";
    }
    return sampling_fault(&settings->sampling);
}

static const char *engine_fault(const engine *chosen, const struct settings *settings) {
    unsigned needs = 0;
    if (settings->n_batch > 1) needs |= LACKS_BATCH;
    if (settings->cross_attention) needs |= LACKS_CROSS_ATTENTION;
    return limits_fault(chosen->lacks, needs);
}

static int refuse(const char *why) {
    log_error("rkllm_init: %s", why);
    return ENGINE_REFUSED;
}

static engine_options options_of(const struct settings *settings) {
    int32_t asked = processors_in_environment();
    return (engine_options){
        .n_ctx = settings->n_ctx,
        .threads = asked > 0 ? asked : processors_to_use(settings->n_processors),
        .threads_asked = asked > 0 || settings->processors_asked,
    };
}

static int open_model(struct session *session) {
    const struct settings *settings = &session->settings;
    engine_error error = {""};
    const char *fault = settings_fault(settings);
    if (fault) return refuse(fault);
    session->engine = engines_choose(settings->model_path, &error);
    if (!session->engine) return refuse(error.text);
    fault = engine_fault(session->engine, settings);
    if (fault) return refuse(fault);
    engine_options options = options_of(settings);
    int code = session->engine->open(settings->model_path, &options, &session->model, &error);
    if (code == ENGINE_REFUSED) return refuse(error.text);
    if (*error.text) log_warning("%s", error.text);
    return code;
}

static int check_model(struct session *session) {
    const struct settings *settings = &session->settings;
    session->facts = session->engine->facts(session->model);
    if (settings->n_ctx > session->facts->n_ctx_max) {
        log_error("rkllm_init: max_context_len %d is more than the model's limit of %d",
                  settings->n_ctx, session->facts->n_ctx_max);
        return ENGINE_REFUSED;
    }
    if (!context_open(&session->context, session->engine, session->model,
                      (size_t)settings->n_ctx)) {
        return refuse("there is not enough memory");
    }
    return ENGINE_OK;
}

static void log_opened(const struct session *session) {
    log_info("%s", abi_about);
    log_info("rkllm-runtime version: %s, rknpu driver version: none, platform: %s, backend: %s",
             abi_release, engines_platform(session->engine), session->engine->name);
    log_info("loaded %s, max_context_len %d of %d", session->facts->name,
             session->settings.n_ctx, session->facts->n_ctx_max);
}

int session_open(struct session **made, struct settings *settings,
                 const struct callbacks *callbacks) {
    struct session *session = calloc(1, sizeof *session);
    if (!session) {
        settings_free(settings);
        return refuse("there is not enough memory");
    }
    session->settings = *settings;
    session->callbacks = *callbacks;
    session->log_level = log_level();
    wait_open(&session->wait);
    rng_start(&session->random);
    int code = open_model(session);
    if (code == ENGINE_OK) code = check_model(session);
    if (code != ENGINE_OK) {
        session_free(session);
        return code;
    }
    log_opened(session);
    *made = session;
    return ENGINE_OK;
}

void session_free(struct session *session) {
    if (session->has_thread) pthread_join(session->thread, NULL);
    late_callback_cancel(&session->late);
    loras_free(&session->loras);
    prompt_cache_free(&session->saved);
    if (session->engine) session->engine->close(session->model);
    context_close(&session->context);
    template_clear(&session->template);
    settings_free(&session->settings);
    wait_close(&session->wait);
    free(session);
}

/* ---- Who is in it ---- */

bool session_enter(struct session *session, enum session_state state) {
    pthread_mutex_lock(&session->wait.lock);
    while (session->state == SESSION_WORKING && !session->closing) {
        pthread_cond_wait(&session->wait.changed, &session->wait.lock);
    }
    bool free_now = session->state == SESSION_IDLE && !session->closing;
    if (free_now) {
        session->state = state;
        atomic_store(&session->stop, false);
    }
    pthread_mutex_unlock(&session->wait.lock);
    if (!free_now) log_error("a run is under way on this handle");
    return free_now;
}

void session_leave(struct session *session) {
    pthread_mutex_lock(&session->wait.lock);
    session->state = SESSION_IDLE;
    session->has_runner = false;
    pthread_cond_broadcast(&session->wait.changed);
    pthread_mutex_unlock(&session->wait.lock);
}

void session_claim(struct session *session) {
    pthread_mutex_lock(&session->wait.lock);
    session->runner = pthread_self();
    session->has_runner = true;
    pthread_mutex_unlock(&session->wait.lock);
}

bool session_is_mine(struct session *session) {
    pthread_mutex_lock(&session->wait.lock);
    bool mine = session->has_runner && pthread_equal(session->runner, pthread_self());
    pthread_mutex_unlock(&session->wait.lock);
    return mine;
}

bool session_is_running(struct session *session) {
    pthread_mutex_lock(&session->wait.lock);
    bool running = session->state == SESSION_RUNNING;
    pthread_mutex_unlock(&session->wait.lock);
    return running;
}

/* ---- Stopping it ---- */

static void stop(struct session *session) {
    atomic_store(&session->stop, true);
    pthread_cond_broadcast(&session->wait.changed);
}

bool session_abort(struct session *session) {
    pthread_mutex_lock(&session->wait.lock);
    bool running = session->state == SESSION_RUNNING;
    if (running) stop(session);
    pthread_mutex_unlock(&session->wait.lock);
    return running;
}

void session_close(struct session *session) {
    pthread_mutex_lock(&session->wait.lock);
    session->closing = true;
    stop(session);
    pthread_mutex_unlock(&session->wait.lock);
}

bool session_sleep(struct session *session, double ms) {
    double until = perf_now_ms() + ms;
    pthread_mutex_lock(&session->wait.lock);
    while (!atomic_load(&session->stop) && wait_until(&session->wait, until)) continue;
    bool stopped = atomic_load(&session->stop);
    pthread_mutex_unlock(&session->wait.lock);
    return !stopped;
}

/* ---- The conversation ---- */

void session_forget(struct session *session, bool keep_system) {
    struct context *context = &session->context;
    context_cut(context, keep_system ? context->n_system : 0, context->n);
    session->paused = false;
    session->turn_open = false;
}

#include "late.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "deliver.h"
#include "wait.h"

struct late {
    struct late *next;
    const struct callbacks *callbacks;
    void *userdata;
    char *text;
    double ms;
    bool started, cancelled, over; /* the last two under the lock */
    struct wait wait;
    pthread_t thread;
};

static void late_free(struct late *late) {
    wait_close(&late->wait);
    free(late->text);
    free(late);
}

bool late_add(struct late **list, const struct callbacks *callbacks, void *userdata,
              const char *text, double ms) {
    struct late *late = calloc(1, sizeof *late);
    if (!late) return false;
    *late = (struct late){.callbacks = callbacks, .userdata = userdata, .ms = ms, .next = *list};
    wait_open(&late->wait);
    late->text = strdup(text);
    if (!late->text) {
        late_free(late);
        return false;
    }
    *list = late;
    return true;
}

/* Whoever waits for a late callback to end must not be one. */
static _Thread_local bool on_late_thread;

bool late_is_here(void) {
    return on_late_thread;
}

static void *call_late(void *argument) {
    struct late *late = argument;
    on_late_thread = true;
    double until = perf_now_ms() + late->ms;
    pthread_mutex_lock(&late->wait.lock);
    while (!late->cancelled && wait_until(&late->wait, until)) continue;
    bool cancelled = late->cancelled;
    pthread_mutex_unlock(&late->wait.lock);
    if (!cancelled) {
        struct outcome outcome = {.text = late->text};
        deliver(late->callbacks, late->userdata, RKLLM_RUN_NORMAL, &outcome, 1);
    }
    pthread_mutex_lock(&late->wait.lock);
    late->over = true;
    pthread_mutex_unlock(&late->wait.lock);
    return NULL;
}

static bool is_over(struct late *late) {
    pthread_mutex_lock(&late->wait.lock);
    bool over = late->over;
    pthread_mutex_unlock(&late->wait.lock);
    return over;
}

static void drop(struct late **link) {
    struct late *late = *link;
    *link = late->next;
    if (late->started) pthread_join(late->thread, NULL);
    late_free(late);
}

void late_start(struct late **list) {
    for (struct late **link = list; *link;) {
        struct late *late = *link;
        if (!late->started) {
            late->started = pthread_create(&late->thread, NULL, call_late, late) == 0;
            if (!late->started) late->over = true; /* there is no thread that could tell */
        }
        if (is_over(late)) {
            drop(link);
        } else {
            link = &late->next;
        }
    }
}

void late_cancel(struct late **list) {
    while (*list) {
        struct late *late = *list;
        pthread_mutex_lock(&late->wait.lock);
        late->cancelled = true;
        pthread_cond_broadcast(&late->wait.changed);
        pthread_mutex_unlock(&late->wait.lock);
        drop(list);
    }
}

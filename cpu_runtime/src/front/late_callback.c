#include "late_callback.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callback.h"
#include "wait.h"

struct late_callback {
    struct late_callback *next;
    const struct callbacks *callbacks;
    void *userdata;
    char *text;        /* to call back with */
    const char *given; /* or to read again, and print */
    double ms;
    bool started, cancelled, over; /* the last two under the lock */
    struct wait wait;
    pthread_t thread;
};

static void late_callback_free(struct late_callback *late) {
    wait_close(&late->wait);
    free(late->text);
    free(late);
}

static struct late_callback *add(struct late_callback **list, double ms) {
    struct late_callback *late = calloc(1, sizeof *late);
    if (!late) return NULL;
    late->ms = ms;
    late->next = *list;
    wait_open(&late->wait);
    return *list = late;
}

bool late_callback_add(struct late_callback **list, const struct callbacks *callbacks,
                       void *userdata, const char *text, double ms) {
    char *copy = strdup(text);
    struct late_callback *late = copy ? add(list, ms) : NULL;
    if (!late) {
        free(copy);
        return false;
    }
    late->callbacks = callbacks;
    late->userdata = userdata;
    late->text = copy;
    return true;
}

bool late_callback_add_reading(struct late_callback **list, const char *given, double ms) {
    struct late_callback *late = add(list, ms);
    if (late) late->given = given;
    return late;
}

/* Whoever waits for a late callback to end must not be one. */
static _Thread_local bool on_late_thread;

bool late_callback_is_here(void) {
    return on_late_thread;
}

static void read_again(const char *given) {
    size_t length = given ? strlen(given) : 0, from = length > 8 ? length - 8 : 0;
    printf("the input has %zu bytes still and ends in %s\n", length, given ? given + from : "");
    fflush(stdout);
}

static void *call_late(void *argument) {
    struct late_callback *late = argument;
    on_late_thread = true;
    double until = perf_now_ms() + late->ms;
    pthread_mutex_lock(&late->wait.lock);
    while (!late->cancelled && wait_until(&late->wait, until)) continue;
    bool cancelled = late->cancelled;
    pthread_mutex_unlock(&late->wait.lock);
    if (!cancelled && !late->text) read_again(late->given);
    if (!cancelled && late->text) {
        struct outcome outcome = {.text = late->text};
        callback_call(late->callbacks, late->userdata, RKLLM_RUN_NORMAL, &outcome, 1);
    }
    pthread_mutex_lock(&late->wait.lock);
    late->over = true;
    pthread_mutex_unlock(&late->wait.lock);
    return NULL;
}

static bool is_over(struct late_callback *late) {
    pthread_mutex_lock(&late->wait.lock);
    bool over = late->over;
    pthread_mutex_unlock(&late->wait.lock);
    return over;
}

static void drop(struct late_callback **link) {
    struct late_callback *late = *link;
    *link = late->next;
    if (late->started) pthread_join(late->thread, NULL);
    late_callback_free(late);
}

void late_callback_start(struct late_callback **list) {
    for (struct late_callback **link = list; *link;) {
        struct late_callback *late = *link;
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

void late_callback_cancel(struct late_callback **list) {
    while (*list) {
        struct late_callback *late = *list;
        pthread_mutex_lock(&late->wait.lock);
        late->cancelled = true;
        pthread_cond_broadcast(&late->wait.changed);
        pthread_mutex_unlock(&late->wait.lock);
        drop(list);
    }
}

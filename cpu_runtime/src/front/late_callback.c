#include "late_callback.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callback.h"
#include "wait.h"

struct late {
    struct late *next;
    const struct callbacks *callbacks;
    void *userdata;
    char *text;        /* to call back with */
    const char *given; /* or to read again, and print */
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

static struct late *add(struct late **list, double ms) {
    struct late *late = calloc(1, sizeof *late);
    if (!late) return NULL;
    late->ms = ms;
    late->next = *list;
    wait_open(&late->wait);
    return *list = late;
}

bool late_add(struct late **list, const struct callbacks *callbacks, void *userdata,
              const char *text, double ms) {
    char *copy = strdup(text);
    struct late *late = copy ? add(list, ms) : NULL;
    if (!late) {
        free(copy);
        return false;
    }
    late->callbacks = callbacks;
    late->userdata = userdata;
    late->text = copy;
    return true;
}

bool late_add_reading(struct late **list, const char *given, double ms) {
    struct late *late = add(list, ms);
    if (late) late->given = given;
    return late;
}

/* Whoever waits for a late callback to end must not be one. */
static _Thread_local bool on_late_thread;

bool late_is_here(void) {
    return on_late_thread;
}

static void read_again(const char *given) {
    size_t length = given ? strlen(given) : 0, from = length > 8 ? length - 8 : 0;
    printf("the input has %zu bytes still and ends in %s\n", length, given ? given + from : "");
    fflush(stdout);
}

static void *call_late(void *argument) {
    struct late *late = argument;
    on_late_thread = true;
    double until = perf_now_ms() + late->ms;
    pthread_mutex_lock(&late->wait.lock);
    while (!late->cancelled && wait_until(&late->wait, until)) continue;
    bool cancelled = late->cancelled;
    pthread_mutex_unlock(&late->wait.lock);
    if (!cancelled && !late->text) read_again(late->given);
    if (!cancelled && late->text) {
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

#include "registry.h"

#include <stdlib.h>

#include "log.h"

struct entry {
    struct entry *next;
    uintptr_t handle;
    struct session *session;
    unsigned users;
    bool removed; /* its handle is dead, but somebody still uses the session */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static struct entry *entries;
static uintptr_t last_handle = 0x10000; /* small numbers are what garbage looks like */

LLMHandle registry_add(struct session *session) {
    struct entry *entry = malloc(sizeof *entry);
    if (!entry) return NULL;
    pthread_mutex_lock(&lock);
    last_handle += 16; /* looks like an address, for programs that check the alignment */
    *entry = (struct entry){.next = entries, .handle = last_handle, .session = session};
    entries = entry;
    LLMHandle handle = (LLMHandle)entry->handle;
    pthread_mutex_unlock(&lock);
    return handle;
}

/* With the lock held. */
static struct entry *find(LLMHandle handle) {
    struct entry *entry = entries;
    while (entry && (entry->removed || entry->handle != (uintptr_t)handle)) entry = entry->next;
    return entry;
}

struct session *registry_acquire(LLMHandle handle, const char *function) {
    pthread_mutex_lock(&lock);
    struct entry *entry = find(handle);
    struct session *session = entry ? entry->session : NULL;
    if (entry) entry->users++;
    pthread_mutex_unlock(&lock);
    if (!session) log_error("%s: the handle is not that of a loaded model", function);
    return session;
}

void registry_release(struct session *session) {
    pthread_mutex_lock(&lock);
    struct entry *entry = entries;
    while (entry->session != session) entry = entry->next;
    entry->users--;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

static void unlink_entry(struct entry *entry) {
    struct entry **link = &entries;
    while (*link != entry) link = &(*link)->next;
    *link = entry->next;
    free(entry);
}

struct session *registry_remove(LLMHandle handle) {
    pthread_mutex_lock(&lock);
    struct entry *entry = find(handle);
    struct session *session = entry ? entry->session : NULL;
    if (entry) {
        entry->removed = true;
        session_close(session);
        while (entry->users > 0) pthread_cond_wait(&released, &lock);
        unlink_entry(entry);
    }
    pthread_mutex_unlock(&lock);
    return session;
}

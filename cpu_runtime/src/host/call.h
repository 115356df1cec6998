/* A call that was asked for, and the memory that C was given. */
#ifndef HOST_CALL_H
#define HOST_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"

struct call {
    struct call *next;
    uint64_t number;
    unsigned char *body;
    struct frame_parts parts;
    int descriptors[FRAME_MAX_DESCRIPTORS]; /* parts.call->n_descriptors of them */
    bool lacks_descriptors;                 /* the kernel has left out some */
    /* Guarded by the host's state lock. */
    bool began;       /* C has been entered */
    bool aborted;     /* before that: C is not called */
    bool pausing;     /* the next callback asks for a pause */
    bool called_back; /* a callback has come, or an abort: C has begun the run */
    bool ended;       /* the last result has come */
};

/* What a place stands for in this process. */
struct places {
    void **handle;
    uintptr_t callback;
};

/* Puts the addresses of this process into the block. */
void call_relocate(struct call *call, const struct places *places);

/* Calls a function with the call's arguments. */
int call_enter(const struct call *call, void *function, const struct places *places);

/* Keeps the call's memory, which C may still read, until the next call of the same function; and the
 * files of a model as long as the model.
 */
void call_keep(struct call *call);

void call_free(struct call *call);

#endif

/* The frames between the daemon and this program: a fixed header, then raw bytes in this machine's
 * byte order. rkllm_twisted/isolation/frames.py says the same in Python.
 */
#ifndef HOST_FRAMES_H
#define HOST_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_kind {
    FRAME_CALL = 1,
    FRAME_ABORT = 2,
    FRAME_PAUSE = 3,
    FRAME_CALLBACK = 17,
    FRAME_RETURN = 18,
};

/* What an argument or a pointer in the block is (rkllm_twisted/abi/image.py). */
enum place {
    PLACE_VALUE = 0,          /* the number itself */
    PLACE_BLOCK = 1,          /* the address of the block, plus an offset */
    PLACE_HANDLE = 2,         /* the handle of the loaded model */
    PLACE_HANDLE_ADDRESS = 3, /* the address of the handle */
    PLACE_CALLBACK = 4,       /* the function that takes results */
    PLACE_DESCRIPTOR = 5,     /* the number of a descriptor, as text */
};

enum {
    FRAMES_VERSION = 2, /* changes with anything that this header says */
    FRAME_MAX_ARGUMENTS = 8,
    FRAME_MAX_DESCRIPTORS = 253, /* SCM_MAX_FD of the kernel */
    FRAME_MAX_ROWS = 255,
    FRAME_NUMBER_BYTES = 10, /* of a descriptor, right-aligned between slashes */
    FRAME_AWAIT_END = 1,     /* a flag: return when the run that the call has begun has ended */
};
#define FRAME_MAX_BODY ((uint64_t)INT32_MAX)
/* Of a result: a token has a few bytes, and the daemon takes many times a text's size. */
#define FRAME_MAX_TEXT ((uint64_t)16 << 20)
#define FRAME_NO_TEXT UINT64_MAX

struct frame_header {
    uint32_t kind, zero;
    uint64_t number, size; /* of the call; of the body */
};

/* Then the arguments, the relocations, and the block, which is aligned as malloc's memory is. */
struct frame_call {
    uint64_t userdata; /* of a run: what its callbacks bring */
    uint32_t n_arguments, n_relocations, n_descriptors, block_size, outputs, rows, flags;
    char function[40], mark[52];
};

struct frame_entry {
    uint32_t place, at; /* at: the offset of a pointer in the block */
    uint64_t value;
};

/* Then, for each row, the sizes, the structure, the text, the hidden states, the logits. */
struct frame_callback {
    int32_t state;
    uint32_t rows;
    uint64_t userdata;
};

struct frame_row {
    uint64_t text, hidden_states, logits;
};

/* Then the end of the block, where C has written. */
struct frame_return {
    int32_t status;
    uint32_t has_handle;
};

_Static_assert(sizeof(struct frame_header) == 24, "frames.py: HEADER");
_Static_assert(sizeof(struct frame_call) == 128, "frames.py: CALL");
_Static_assert(sizeof(struct frame_entry) == 16, "frames.py: ENTRY");
_Static_assert(sizeof(struct frame_call) % _Alignof(max_align_t) == 0 &&
                   sizeof(struct frame_entry) % _Alignof(max_align_t) == 0,
               "the block is aligned");
_Static_assert(sizeof(struct frame_callback) == 16, "frames.py: CALLBACK");
_Static_assert(sizeof(struct frame_row) == 24, "frames.py: ROW");
_Static_assert(sizeof(struct frame_return) == 8, "frames.py: RETURN");
_Static_assert(sizeof(void *) == 8 && sizeof(int) == 4, "rkllm.h is known for LP64 only");

/* A body of a call in memory that is aligned as malloc's. */
struct frame_parts {
    const struct frame_call *call;
    const struct frame_entry *arguments, *relocations;
    unsigned char *block;
};

/* Finds the parts of a body. False if it is none: no part of it may be used then. */
bool frame_divide(unsigned char *body, size_t size, struct frame_parts *parts);

#endif

/* A text file that stands for a vision encoder: its sizes, and the faults that shall occur. */
#ifndef RKNN_SCRIPT_H
#define RKNN_SCRIPT_H

#include <stdint.h>

enum { RKNN_SCRIPT_DIMS = 16, RKNN_SCRIPT_WORD = 64 };

/* What happens at a place of the script. A code below 0 is returned. */
enum rknn_fault { FAULT_NONE, FAULT_CODE, FAULT_HANG, FAULT_SEGV, FAULT_EXIT };

/* What is wrong with the numbers of an output. */
enum rknn_numbers { NUMBERS_GOOD, NUMBERS_NULL, NUMBERS_NAN, NUMBERS_INF };

struct rknn_place {
    enum rknn_fault fault;
    int code;
};

struct rknn_script {
    uint32_t width, height, tokens, row_width, outputs, inputs;
    uint32_t n_dims, dims[RKNN_SCRIPT_DIMS]; /* of each output; by default tokens, row_width */
    uint32_t held;                           /* outputs that may be unreleased at a time */
    uint32_t memory;                         /* bytes, for RKNN_QUERY_MEM_SIZE */
    uint32_t delay;                          /* milliseconds of a run */
    float scale;                             /* of the numbers */
    char version[RKNN_SCRIPT_WORD], driver[RKNN_SCRIPT_WORD];
    struct rknn_place init, run, cores;
    enum rknn_numbers numbers;
};

/* Reads a script. Returns 0, or the number of the line that is wrong; -1 if it is no script. */
int rknn_script_read(const char *text, struct rknn_script *script);

/* Does what a place says, and returns its code; 0 if nothing happens there. */
int rknn_script_play(const struct rknn_place *place);

#endif

/* A librkllmrt that does nothing but write down what reaches it.
 *
 * The structures, and the code that writes them field by field, are generated from the table into
 * layout.h (tests/support/recording_library.py). One line of JSON for each call goes to the file that
 * recorder_open named. A run calls back with the results that recorder_play was given.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void *LLMHandle;

static FILE *out;
static int status, width = 1, batch = 1, null_handle, running;

static void text(const char *s) {
    if (!s) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* 9 digits tell any two float32 apart. */
static void number(float f) { fprintf(out, "%.8e", (double)f); }

static void whole(intmax_t n) { fprintf(out, "%" PRIdMAX, n); }

static void natural(uintmax_t n) { fprintf(out, "%" PRIuMAX, n); }

static void numbers(const float *f, size_t n) {
    if (!f) {
        fputs("null", out);
        return;
    }
    fputc('[', out);
    for (size_t i = 0; i < n; i++) {
        if (i) fputc(',', out);
        number(f[i]);
    }
    fputc(']', out);
}

static void wholes(const int32_t *p, size_t n) {
    if (!p) {
        fputs("null", out);
        return;
    }
    fputc('[', out);
    for (size_t i = 0; i < n; i++) {
        if (i) fputc(',', out);
        whole(p[i]);
    }
    fputc(']', out);
}

static void bytes(const uint8_t *p, size_t n) {
    fputc('[', out);
    for (size_t i = 0; i < n; i++) {
        if (i) fputc(',', out);
        whole(p[i]);
    }
    fputc(']', out);
}

static void begin(const char *function) { fprintf(out, "{\"function\":\"%s\"", function); }

static void name(const char *field) { fprintf(out, ",\"%s\":", field); }

static int end(void) {
    fputs("}\n", out);
    fflush(out);
    return status;
}

static void init(LLMHandle *handle, const void *callback);
static void run(void *userdata);

#include "layout.h" /* generated */

static LLMResultCallback listener;
static RKLLMResult *results;
static const int *states;
static size_t n_results;

/* rkllm_init takes the function itself before 1.3.0, and a structure of functions since. */
static void init(LLMHandle *handle, const void *callback) {
#ifdef HAS_CALLBACK_STRUCTURE
    listener = ((const RKLLMCallback *)callback)->result_callback;
#else
    memcpy(&listener, &callback, sizeof listener);
#endif
    *handle = status == 0 && !null_handle ? (void *)0x5EED : NULL;
}

static void run(void *userdata) {
    running = 1;
    for (size_t i = 0; listener && i < n_results; i++)
        listener(states[i] < 0 ? NULL : &results[i], userdata, states[i] < 0 ? 2 : states[i]);
    running = 0;
}

/* ---- For the tests ---- */

int recorder_open(const char *path) {
    if (out) fclose(out);
    out = fopen(path, "w");
    return out ? 0 : -1;
}

/* Every function returns this. */
void recorder_status(int value) { status = value; }

/* rkllm_init then returns 0 and no handle. */
void recorder_null_handle(int value) { null_handle = value; }

/* The length of rows, where only their number is in a structure; and the length of lists with one
 * entry for each row of the batch. */
void recorder_sizes(int row_width, int rows) {
    width = row_width;
    batch = rows;
}

/* What the next runs call back with; a state below 0 is a FINISH without a result. */
void recorder_play(RKLLMResult *played, const int *with_states, size_t n) {
    results = played;
    states = with_states;
    n_results = n;
}

/* Call back outside of any run. */
void recorder_stray(uintptr_t userdata) {
    if (listener && n_results) listener(&results[0], (void *)userdata, states[0]);
}

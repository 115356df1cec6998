/* What the tests of the front share. They know the runtime by its exported interface only; a
 * callback's calls are compared as one string, e.g. "N[Hello] W[] N[, world] F". */
#ifndef FRONT_SUPPORT_H
#define FRONT_SUPPORT_H

#include <stdio.h>
#include <string.h>

#include "rkllm_cpu.h"

#define CHECK(condition) check((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_TEXT(got, wanted) check_text((got), (wanted), __FILE__, __LINE__)

void check(int good, const char *what, const char *file, int line);
void check_text(const char *got, const char *wanted, const char *file, int line);
int finish_checks(const char *program); /* the exit status */

/* Everything the callback was told, as text, and a few things as they were. */
struct seen {
    char events[16384];
    size_t length;
    int n_calls;
    int32_t last_id;
    int ids[64];
    RKLLMResult last; /* pointers in it are dead */
    float first_row[8], last_value;
    int pause_at;                 /* return 1 from this call, counted from 1; 0: never */
    LLMHandle abort_at_call;      /* abort this handle ... */
    int abort_call;               /* ... at this call */
    void (*hook)(struct seen *);  /* called first, on the callback's thread */
    void *anything;
};

/* The NORMAL texts alone, put together; valid until the next call. */
const char *seen_text(const struct seen *seen);
void seen_clear(struct seen *seen);

/* The result callback for a struct seen as userdata. */
#if RKLLM_ABI >= 10201
int on_result(RKLLMResult *result, void *userdata, LLMCallState state);
#else
void on_result(RKLLMResult *result, void *userdata, LLMCallState state);
#endif

/* A file of its own for every call, in a directory that goes away; valid until the program ends. */
const char *write_file(const char *name, const void *bytes, size_t length);
const char *temporary_path(const char *name);

/* "#!rkllm-script 1\n" and `lines` in a file. */
const char *write_script(const char *lines);

RKLLMParam param_for(const char *path); /* defaults, with a context of 128 */
int init_with(LLMHandle *handle, RKLLMParam *param);
LLMHandle load_script(const char *lines); /* or the program ends */
LLMHandle load_model(const char *path);

RKLLMInput prompt_input(const char *text);

/* Run a prompt; `keep` is keep_history. */
int ask(LLMHandle handle, struct seen *seen, const char *prompt, int keep);

/* Ask, and give the events; valid until the next call. */
const char *told(LLMHandle handle, const char *prompt);

/* What stderr gets while `work` runs. */
const char *log_of(void (*work)(void *), void *argument);

/* The wait status of a child that does `work`. */
int status_of(void (*work)(void *), void *argument);

void sleep_ms(double ms);
double now_ms(void);

#endif

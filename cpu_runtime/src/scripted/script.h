/* A script: what the scripted engine is to do, line by line. The language is described in
 * cpu_runtime/README.md; the table of its directives is in script_parse.c. */
#ifndef RKLLM_CPU_SCRIPT_H
#define RKLLM_CPU_SCRIPT_H

#include "engine.h"

enum script_op {
    /* Facts about the model. */
    OP_CONTEXT, OP_VOCAB, OP_EMBD, OP_NAME,
    OP_TEMPLATE_USER, OP_TEMPLATE_TOOL, OP_TEMPLATE_SYSTEM,
    /* Time. */
    OP_DELAY, OP_SLEEP, OP_WAIT,
    /* Callbacks. */
    OP_TOKEN, OP_CONTROL, OP_RAW, OP_REPEAT, OP_CLOCK, OP_ECHO, OP_ECHO_RENDERED, OP_BATCH,
    OP_WAITING, OP_NULL, OP_STATE, OP_LOGITS, OP_HIDDEN, OP_LATE, OP_LATE_INPUT,
    /* Ends. */
    OP_FINISH, OP_NOFINISH, OP_ERROR, OP_RETURN,
    /* Faults. */
    OP_FAIL, OP_NULL_HANDLE, OP_HANG, OP_HANG_UNTIL_ABORT, OP_DEAF, OP_SEGV, OP_ABORT, OP_EXIT,
    /* Output that is no callback. */
    OP_PRINT_OUT, OP_PRINT_ERR,
};

struct script_line {
    enum script_op op;
    char **texts; /* NULL among them where a batch has a row that is done */
    size_t n_texts;
    double numbers[2];
    size_t n_numbers;
};

struct script_section {
    struct script_line *lines;
    size_t n;
    char *when; /* only for inputs that contain this; NULL: for any */
    int mode;   /* only for runs of this mode; -1: for any */
};

enum { TEMPLATE_PIECES = 6 };

struct script {
    int32_t context, vocab, embd;
    char *name;
    char *template[TEMPLATE_PIECES]; /* before and after: user, tool, system; "" where not given */
    struct script_section init;
    struct script_section *runs;
    size_t n_runs;
};

bool script_recognises(const uint8_t *head, size_t size);

/* Parse a text of `length` bytes. ENGINE_REFUSED tells the line and what was expected; the script
 * is then empty. */
int script_parse(struct script *script, const char *text, size_t length, engine_error *error);
void script_free(struct script *script);

/* ---- Reading one line (script_read.c) ---- */

struct reader {
    const char *at, *end; /* the rest of the line */
    size_t line;
    engine_error *error;
};

bool reader_at_end(struct reader *reader);                      /* nothing but a comment is left */
bool reader_take_words(struct reader *reader, const char *words); /* "hang until abort" */
bool reader_take_text(struct reader *reader, char **text);      /* a quoted one, to be freed */
bool reader_take_number(struct reader *reader, double *number);
bool reader_refuse(struct reader *reader, const char *expected); /* returns false */

/* ---- Faults and opening (script_fault.c) ---- */

void script_sleep(double ms); /* nothing wakes it */

/* Play what is the same while a model opens and while it runs: hang, segv, abort, exit, print. */
void script_play_anywhere(const struct script_line *line);

/* What opening the model does, as ENGINE_ codes. */
int script_play_init(const struct script_section *init, engine_error *error);

/* ---- Playing (script_play.c) ---- */

/* How far a paused run got. */
struct script_mark {
    const struct script_section *section;
    size_t line, step;
    double delay;
    int32_t emitted;
    bool deaf;
    int result;
};

int script_play_run(struct script_mark *mark, engine_host *host, const char *input,
                    const char *rendered);

#endif

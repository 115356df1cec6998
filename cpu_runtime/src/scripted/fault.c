/* Doing what a script says while a model opens, and the faults that strike at any time. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "script.h"

void script_sleep(double ms) {
    struct timespec time = {.tv_sec = (time_t)(ms / 1e3)};
    time.tv_nsec = (long)((ms - (double)time.tv_sec * 1e3) * 1e6);
    while (nanosleep(&time, &time) != 0) continue;
}

_Noreturn static void hang(void) {
    for (;;) script_sleep(1e6);
}

/* A true fault: raise() would not show what a handler sees of one. */
static void fault(void) {
    char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void print(FILE *file, const char *text) {
    fputs(text, file);
    fflush(file);
}

void script_play_anywhere(const struct script_line *line) {
    switch (line->op) {
        case OP_HANG: hang();
        case OP_SEGV: fault(); break;
        case OP_ABORT: abort();
        case OP_EXIT: _exit((int)line->numbers[0]);
        case OP_PRINT_OUT: print(stdout, line->texts[0]); break;
        case OP_PRINT_ERR: print(stderr, line->texts[0]); break;
        default: break; /* not one of these */
    }
}

int script_play_init(const struct script_section *init, engine_error *error) {
    for (size_t i = 0; i < init->n; i++) {
        const struct script_line *line = &init->lines[i];
        if (line->op == OP_NULL_HANDLE) return ENGINE_NULL_HANDLE;
        if (line->op == OP_FAIL) {
            snprintf(error->text, sizeof error->text, "%s",
                     line->n_texts ? line->texts[0] : "the script fails here");
            return ENGINE_REFUSED;
        }
        if (line->op == OP_SLEEP) script_sleep(line->numbers[0]);
        while (line->op == OP_WAIT && access(line->texts[0], F_OK) != 0) script_sleep(1);
        script_play_anywhere(line);
    }
    return ENGINE_OK;
}

#include "script.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char HEAD[] = "#!rknn-script 1";

/* The directives with one number: its place, and its bounds. */
static const struct number {
    const char *name;
    size_t offset;
    uint32_t least, most;
} NUMBERS[] = {
    {"width", offsetof(struct rknn_script, width), 1, 8192},
    {"height", offsetof(struct rknn_script, height), 1, 8192},
    {"tokens", offsetof(struct rknn_script, tokens), 1, 65536},
    {"row_width", offsetof(struct rknn_script, row_width), 1, 65536},
    {"outputs", offsetof(struct rknn_script, outputs), 1, 16},
    {"inputs", offsetof(struct rknn_script, inputs), 1, 16},
    {"held", offsetof(struct rknn_script, held), 1, 1024},
    {"memory", offsetof(struct rknn_script, memory), 0, UINT32_MAX},
    {"delay", offsetof(struct rknn_script, delay), 0, 600000},
};

static const struct {
    const char *name;
    size_t offset;
} PLACES[] = {
    {"init", offsetof(struct rknn_script, init)},
    {"run", offsetof(struct rknn_script, run)},
    {"cores", offsetof(struct rknn_script, cores)},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static int read_number(struct rknn_script *script, const char *name, const char *value) {
    for (size_t i = 0; i < COUNT(NUMBERS); i++) {
        const struct number *row = &NUMBERS[i];
        if (strcmp(row->name, name) != 0) continue;
        char *end;
        unsigned long long number = strtoull(value, &end, 10);
        if (end == value || *end || *value == '-') return -1;
        if (number < row->least || number > row->most) return -1;
        uint32_t narrow = (uint32_t)number;
        memcpy((char *)script + row->offset, &narrow, sizeof narrow);
        return 1;
    }
    return 0;
}

static int read_place(struct rknn_script *script, const char *name, const char *value) {
    for (size_t i = 0; i < COUNT(PLACES); i++) {
        if (strcmp(PLACES[i].name, name) != 0) continue;
        struct rknn_place place = {FAULT_NONE, 0};
        if (strcmp(value, "hang") == 0) place.fault = FAULT_HANG;
        else if (strcmp(value, "segv") == 0) place.fault = FAULT_SEGV;
        else if (strcmp(value, "exit") == 0) place.fault = FAULT_EXIT;
        else {
            char *end;
            long code = strtol(value, &end, 10);
            if (end == value || *end || code >= 0 || code < -100) return -1;
            place = (struct rknn_place){FAULT_CODE, (int)code};
        }
        memcpy((char *)script + PLACES[i].offset, &place, sizeof place);
        return 1;
    }
    return 0;
}

static int read_dims(struct rknn_script *script, const char *value) {
    script->n_dims = 0;
    while (*value) {
        char *end;
        unsigned long number = strtoul(value, &end, 10);
        if (end == value || number == 0 || number > 65536) return -1;
        if (script->n_dims == RKNN_SCRIPT_DIMS) return -1;
        script->dims[script->n_dims++] = (uint32_t)number;
        value = end + strspn(end, " ");
    }
    return script->n_dims ? 1 : -1;
}

static int read_word(char target[RKNN_SCRIPT_WORD], const char *value) {
    size_t length = strlen(value);
    if (!length || length >= RKNN_SCRIPT_WORD) return -1;
    memcpy(target, value, length + 1);
    return 1;
}

static int read_output(struct rknn_script *script, const char *value) {
    static const char *const WORDS[] = {"good", "null", "nan", "inf"};
    for (size_t i = 0; i < COUNT(WORDS); i++) {
        if (strcmp(WORDS[i], value) != 0) continue;
        script->numbers = (enum rknn_numbers)i;
        return 1;
    }
    return -1;
}

static int read_scale(struct rknn_script *script, const char *value) {
    char *end;
    script->scale = strtof(value, &end);
    return end == value || *end ? -1 : 1;
}

/* Returns 1 for a line that was read, 0 or -1 for one that is wrong. */
static int read_line(struct rknn_script *script, char *line) {
    line[strcspn(line, "#\r")] = 0;
    line += strspn(line, " \t");
    size_t length = strlen(line);
    while (length && (line[length - 1] == ' ' || line[length - 1] == '\t')) line[--length] = 0;
    if (!*line) return 1;
    char *value = line + strcspn(line, " ");
    if (!*value) return -1;
    *value++ = 0;
    value += strspn(value, " ");
    if (strcmp(line, "dims") == 0) return read_dims(script, value);
    if (strcmp(line, "version") == 0) return read_word(script->version, value);
    if (strcmp(line, "driver") == 0) return read_word(script->driver, value);
    if (strcmp(line, "output") == 0) return read_output(script, value);
    if (strcmp(line, "scale") == 0) return read_scale(script, value);
    int found = read_number(script, line, value);
    return found ? found : read_place(script, line, value);
}

int rknn_script_read(const char *text, struct rknn_script *script) {
    *script = (struct rknn_script){
        .width = 28, .height = 28, .tokens = 16, .row_width = 192, .outputs = 1, .inputs = 1,
        .held = 16, .memory = 1 << 20, .scale = 1, .version = "2.3.2", .driver = "0.9.8",
    };
    if (strncmp(text, HEAD, sizeof HEAD - 1) != 0) return -1;
    const char *rest = strchr(text, '\n');
    for (int number = 2; rest && rest[1]; number++) {
        char line[256];
        const char *start = rest + 1;
        size_t length = strcspn(start, "\n");
        if (length >= sizeof line) return number;
        memcpy(line, start, length);
        line[length] = 0;
        if (read_line(script, line) != 1) return number;
        rest = start[length] ? start + length : NULL;
    }
    if (!script->n_dims) {
        script->n_dims = 2;
        script->dims[0] = script->tokens;
        script->dims[1] = script->row_width;
    }
    return 0;
}

int rknn_script_play(const struct rknn_place *place) {
    switch (place->fault) {
        case FAULT_NONE: return 0;
        case FAULT_CODE: return place->code;
        case FAULT_HANG:
            for (;;) pause();
        case FAULT_SEGV: {
            /* A true fault: raise() would not show what a handler sees of one. */
            char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            *(volatile char *)page = 1;
            return 0;
        }
        case FAULT_EXIT: _exit(3);
    }
    return 0;
}

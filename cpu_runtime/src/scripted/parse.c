/* The directives of a script, and how a text becomes sections of lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

enum place { FACT = 1, INIT = 2, RUN = 4 };

/* What follows the name: T a text, N a number from 0 up, I any number, B texts or "-" one after
 * the other, ? what comes after it may be missing, and a word in angle brackets itself. */
struct directive {
    const char *name;
    int places;
    enum script_op op;
    const char *form;
    const char *usage;
};

/* Of two names where one begins with the other, the longer comes first. */
static const struct directive DIRECTIVES[] = {
    {"context", FACT, OP_CONTEXT, "N", "context TOKENS"},
    {"vocab", FACT, OP_VOCAB, "N", "vocab TOKENS"},
    {"embd", FACT, OP_EMBD, "N", "embd WIDTH"},
    {"name", FACT, OP_NAME, "T", "name \"text\""},
    {"template user", FACT, OP_TEMPLATE_USER, "TT", "template user \"before\" \"after\""},
    {"template tool", FACT, OP_TEMPLATE_TOOL, "TT", "template tool \"before\" \"after\""},
    {"template system", FACT, OP_TEMPLATE_SYSTEM, "TT", "template system \"before\" \"after\""},

    {"delay", RUN, OP_DELAY, "N", "delay MS"},
    {"delay", INIT, OP_SLEEP, "N", "init delay MS"},
    {"sleep", RUN, OP_SLEEP, "N", "sleep MS"},
    {"prefill", RUN, OP_SLEEP, "N", "prefill MS"},
    {"wait", INIT | RUN, OP_WAIT, "T", "wait \"file\""},

    {"token", RUN, OP_TOKEN, "T?I", "token \"text\" [ID]"},
    {"control", RUN, OP_CONTROL, "T?I", "control \"text\" [ID]"},
    {"raw", RUN, OP_RAW, "T?I", "raw \"text\" [ID]"},
    {"repeat", RUN, OP_REPEAT, "N<token>T", "repeat N token \"text\""},
    {"clock", RUN, OP_CLOCK, "N", "clock N"},
    {"echo_rendered", RUN, OP_ECHO_RENDERED, "", "echo_rendered"},
    {"echo", RUN, OP_ECHO, "", "echo"},
    {"batch", RUN, OP_BATCH, "B", "batch \"text\" - ..."},
    {"waiting", RUN, OP_WAITING, "?T", "waiting [\"text\"]"},
    {"null", RUN, OP_NULL, "", "null"},
    {"state", RUN, OP_STATE, "NT", "state NUMBER \"text\""},
    {"logits", RUN, OP_LOGITS, "NN", "logits ROWS VOCAB"},
    {"hidden", RUN, OP_HIDDEN, "NN", "hidden ROWS EMBD"},
    {"late input", RUN, OP_LATE_INPUT, "N", "late input MS"},
    {"late", RUN, OP_LATE, "TN", "late \"text\" MS"},

    {"finish", RUN, OP_FINISH, "", "finish"},
    {"nofinish", RUN, OP_NOFINISH, "", "nofinish"},
    {"error", RUN, OP_ERROR, "", "error"},
    {"return", RUN, OP_RETURN, "I", "return NUMBER"},

    {"fail", INIT, OP_FAIL, "?T", "init fail [\"why\"]"},
    {"null", INIT, OP_NULL_HANDLE, "", "init null"},
    {"hang until abort", RUN, OP_HANG_UNTIL_ABORT, "", "hang until abort"},
    {"hang", INIT | RUN, OP_HANG, "", "hang"},
    {"deaf", RUN, OP_DEAF, "", "deaf"},
    {"segv", INIT | RUN, OP_SEGV, "", "segv"},
    {"abort", INIT | RUN, OP_ABORT, "", "abort"},
    {"exit", INIT | RUN, OP_EXIT, "N", "exit CODE"},

    {"print stdout", INIT | RUN, OP_PRINT_OUT, "T", "print stdout \"text\""},
    {"print stderr", INIT | RUN, OP_PRINT_ERR, "T", "print stderr \"text\""},
    {"print", INIT | RUN, OP_PRINT_OUT, "T", "print \"text\""},
};

static const char FIRST_LINE[] = "#!rkllm-script 1";
static const double LARGEST = 1e9;
static const double MOST_VALUES = 1 << 28; /* floats in one callback: 1 GiB */

/* ---- Memory ---- */

static void free_line(struct script_line *line) {
    for (size_t i = 0; i < line->n_texts; i++) free(line->texts[i]);
    free(line->texts);
}

static void free_section(struct script_section *section) {
    for (size_t i = 0; i < section->n; i++) free_line(&section->lines[i]);
    free(section->lines);
    free(section->when);
}

void script_free(struct script *script) {
    free(script->name);
    for (size_t i = 0; i < TEMPLATE_PIECES; i++) free(script->template[i]);
    free_section(&script->init);
    for (size_t i = 0; i < script->n_runs; i++) free_section(&script->runs[i]);
    free(script->runs);
    *script = (struct script){0};
}

static bool add_text(struct script_line *line, char *text) {
    char **grown = realloc(line->texts, (line->n_texts + 1) * sizeof *grown);
    if (!grown) {
        free(text);
        return false;
    }
    line->texts = grown;
    grown[line->n_texts++] = text;
    return true;
}

/* ---- One directive ---- */

static bool take_text(struct reader *reader, struct script_line *line) {
    char *text;
    if (!reader_take_text(reader, &text)) return false;
    return add_text(line, text) || reader_refuse(reader, "more memory");
}

static bool take_number(struct reader *reader, struct script_line *line, double least) {
    double number;
    if (!reader_take_number(reader, &number) || number < least || number > LARGEST) {
        return reader_refuse(reader, least < 0 ? "a number" : "a number from 0 to 1000000000");
    }
    line->numbers[line->n_numbers++] = number;
    return true;
}

static bool take_rows(struct reader *reader, struct script_line *line) {
    do {
        bool done = reader_take_words(reader, "-");
        bool ok = done ? add_text(line, NULL) : take_text(reader, line);
        if (!ok) return false;
    } while (!reader_at_end(reader));
    return true;
}

/* "<token>" at *form: take that word, and move past it. */
static bool take_literal(struct reader *reader, const char **form) {
    char word[16];
    size_t length = strcspn(*form, ">") - 1;
    memcpy(word, *form + 1, length);
    word[length] = '\0';
    *form += length + 1;
    return reader_take_words(reader, word) || reader_refuse(reader, word);
}

static bool take_form(struct reader *reader, const char *form, struct script_line *line) {
    bool ok = true;
    for (; *form && ok; form++) {
        switch (*form) {
            case 'T': ok = take_text(reader, line); break;
            case 'N': ok = take_number(reader, line, 0); break;
            case 'I': ok = take_number(reader, line, -LARGEST); break;
            case 'B': ok = take_rows(reader, line); break;
            case '<': ok = take_literal(reader, &form); break;
            case '?':
                if (reader_at_end(reader)) return true;
                break;
        }
    }
    return ok;
}

static bool is_sound(struct reader *reader, const struct script_line *line) {
    bool rows = line->op == OP_LOGITS || line->op == OP_HIDDEN;
    if (rows && line->numbers[0] * line->numbers[1] > MOST_VALUES) {
        return reader_refuse(reader, "at most 268435456 values");
    }
    return true;
}

/* A line that may stand in the given place. On failure *line is empty. */
static bool take_line(struct reader *reader, int place, struct script_line *line) {
    *line = (struct script_line){0};
    for (size_t i = 0; i < sizeof DIRECTIVES / sizeof *DIRECTIVES; i++) {
        const struct directive *it = &DIRECTIVES[i];
        if (!(it->places & place) || !reader_take_words(reader, it->name)) continue;
        line->op = it->op;
        if (take_form(reader, it->form, line) && is_sound(reader, line)) {
            if (reader_at_end(reader)) return true;
            reader_refuse(reader, it->usage);
        }
        free_line(line);
        *line = (struct script_line){0};
        return false;
    }
    return reader_refuse(reader, place == RUN    ? "a directive of a run"
                                 : place == INIT ? "a directive of init"
                                                 : "a fact, init or run");
}

/* ---- Sections ---- */

static bool add_line(struct reader *reader, struct script_section *section, int place) {
    struct script_line line;
    if (!take_line(reader, place, &line)) return false;
    struct script_line *grown = realloc(section->lines, (section->n + 1) * sizeof *grown);
    if (!grown) {
        free_line(&line);
        return reader_refuse(reader, "more memory");
    }
    section->lines = grown;
    grown[section->n++] = line;
    return true;
}

static bool take_mode(struct reader *reader, int *mode) {
    static const char *const MODES[] = {"generate", "hidden", "logits"};
    for (*mode = 0; *mode < 3; ++*mode) {
        if (reader_take_words(reader, MODES[*mode])) return true;
    }
    return reader_refuse(reader, "generate, hidden or logits");
}

/* run [mode MODE] [when "text"] */
static bool add_run(struct reader *reader, struct script *script) {
    struct script_section made = {.mode = -1};
    struct script_section *grown = realloc(script->runs, (script->n_runs + 1) * sizeof *grown);
    if (!grown) return reader_refuse(reader, "more memory");
    script->runs = grown;
    if (reader_take_words(reader, "mode") && !take_mode(reader, &made.mode)) return false;
    if (reader_take_words(reader, "when") && !reader_take_text(reader, &made.when)) return false;
    grown[script->n_runs++] = made;
    return reader_at_end(reader) || reader_refuse(reader, "run [mode MODE] [when \"text\"]");
}

static void move_text(char **to, char **from) {
    free(*to);
    *to = *from;
    *from = NULL;
}

/* Facts have a place of their own instead of a section. */
static bool add_fact(struct reader *reader, struct script *script) {
    struct script_line line;
    if (!take_line(reader, FACT, &line)) return false;
    int32_t number = (int32_t)line.numbers[0];
    bool ok = line.n_numbers == 0 || number > 0 || reader_refuse(reader, "a number above 0");
    switch (line.op) {
        case OP_CONTEXT: script->context = number; break;
        case OP_VOCAB: script->vocab = number; break;
        case OP_EMBD: script->embd = number; break;
        case OP_NAME: move_text(&script->name, &line.texts[0]); break;
        default: { /* a template */
            char **pieces = &script->template[2 * (line.op - OP_TEMPLATE_USER)];
            move_text(&pieces[0], &line.texts[0]);
            move_text(&pieces[1], &line.texts[1]);
        }
    }
    free_line(&line);
    return ok;
}

static bool add(struct reader *reader, struct script *script) {
    if (reader_at_end(reader)) return true;
    if (reader_take_words(reader, "run")) return add_run(reader, script);
    if (script->n_runs > 0) return add_line(reader, &script->runs[script->n_runs - 1], RUN);
    if (reader_take_words(reader, "init")) return add_line(reader, &script->init, INIT);
    return add_fact(reader, script);
}

/* ---- The whole ---- */

bool script_recognises(const uint8_t *head, size_t size) {
    size_t length = strlen(FIRST_LINE);
    if (size < length || memcmp(head, FIRST_LINE, length) != 0) return false;
    return size == length || head[length] == '\n' || head[length] == '\r';
}

static bool fill_gaps(struct script *script) {
    bool ok = true;
    if (!script->name) ok = (script->name = strdup("scripted"));
    for (size_t i = 0; i < TEMPLATE_PIECES && ok; i++) {
        if (!script->template[i]) ok = (script->template[i] = strdup(""));
    }
    return ok;
}

int script_parse(struct script *script, const char *text, size_t length, engine_error *error) {
    struct reader reader = {.line = 1, .error = error};
    const char *end = text + length;
    *script = (struct script){.context = 4096, .vocab = 32000, .embd = 64};
    bool ok = script_recognises((const uint8_t *)text, length) ||
              reader_refuse(&reader, FIRST_LINE);
    for (const char *at = text; ok && at < end; reader.line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        reader.at = at;
        reader.end = newline ? newline : end;
        ok = add(&reader, script);
        at = reader.end + 1;
    }
    if (ok && !fill_gaps(script)) ok = reader_refuse(&reader, "more memory");
    if (ok) return ENGINE_OK;
    script_free(script);
    return ENGINE_REFUSED;
}

/* The engine "scripted": a text file says what happens. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script.h"

enum { LARGEST_FILE = 1 << 20 };

struct engine_model {
    struct script script;
    engine_facts facts;
    size_t n_started; /* runs that went by the sequence */
    struct script_mark mark;
    int n_loras;
};

/* ---- Opening ---- */

/* The whole file, to be freed, or NULL with errno. */
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rbe");
    char *text = file ? malloc(LARGEST_FILE + 1) : NULL;
    if (text) {
        *length = fread(text, 1, LARGEST_FILE + 1, file);
        if (ferror(file) || *length > LARGEST_FILE) {
            errno = ferror(file) ? EIO : EFBIG;
            free(text);
            text = NULL;
        }
    }
    if (file) fclose(file);
    return text;
}

static void state_facts(engine_model *model) {
    struct script *script = &model->script;
    model->facts = (engine_facts){
        .name = script->name,
        .n_vocab = script->vocab,
        .n_embd = script->embd,
        .n_ctx_max = script->context,
        .bos = -1,
        .eos = -1,
        .eot = -1,
        .prompt_prefix = script->template[0],
        .prompt_postfix = script->template[1],
        .tool_prefix = script->template[2],
        .tool_postfix = script->template[3],
        .system_prefix = script->template[4],
        .system_postfix = script->template[5],
    };
}

static void close_model(engine_model *model) {
    if (!model) return;
    script_free(&model->script);
    free(model);
}

static int parse_file(engine_model *model, const char *path, engine_error *error) {
    size_t length;
    char *text = read_file(path, &length);
    if (!text) {
        snprintf(error->text, sizeof error->text, "cannot read %.160s: %s", path, strerror(errno));
        return ENGINE_REFUSED;
    }
    int code = script_parse(&model->script, text, length, error);
    free(text);
    return code;
}

static int open_model(const char *path, const engine_options *options, engine_model **model,
                      engine_error *error) {
    (void)options;
    engine_model *made = calloc(1, sizeof *made);
    if (!made) {
        snprintf(error->text, sizeof error->text, "there is not enough memory");
        return ENGINE_REFUSED;
    }
    int code = parse_file(made, path, error);
    if (code == ENGINE_OK) code = script_play_init(&made->script.init, error);
    if (code != ENGINE_OK) {
        close_model(made);
        return code;
    }
    state_facts(made);
    *model = made;
    return ENGINE_OK;
}

static const engine_facts *facts(const engine_model *model) {
    return &model->facts;
}

/* ---- Tokens: a word is one, so that contexts fill up as a reader can count ---- */

static int32_t word_id(const char *word, size_t length, int32_t n_vocab) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)word[i]) * 16777619u;
    return (int32_t)(hash % (uint32_t)n_vocab);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int64_t tokenize(const engine_model *model, const char *text, size_t length, bool special,
                        int32_t *tokens, size_t capacity) {
    (void)special;
    size_t n = 0;
    for (size_t at = 0; at < length; n++) {
        size_t from = at;
        while (at < length && is_space(text[at])) at++;
        while (at < length && !is_space(text[at])) at++;
        if (n < capacity) tokens[n] = word_id(text + from, at - from, model->facts.n_vocab);
    }
    return (int64_t)n;
}

/* ---- What it only pretends to have ---- */

static size_t state_size(engine_model *model, size_t n) {
    (void)model, (void)n;
    return 0;
}

static int state_save(engine_model *model, size_t n, uint8_t *to, size_t size) {
    (void)model, (void)n, (void)to, (void)size;
    return ENGINE_OK;
}

static int state_load(engine_model *model, size_t n, const uint8_t *from, size_t size) {
    (void)model, (void)n, (void)from;
    return size == 0 ? ENGINE_OK : ENGINE_REFUSED;
}

static int lora_load(engine_model *model, const char *path, float scale, engine_error *error) {
    (void)scale;
    if (access(path, R_OK) == 0) return model->n_loras++;
    snprintf(error->text, sizeof error->text, "cannot read %.160s: %s", path, strerror(errno));
    return ENGINE_REFUSED;
}

static int lora_use(engine_model *model, int index) {
    return index >= -1 && index < model->n_loras ? ENGINE_OK : ENGINE_REFUSED;
}

/* ---- Runs ---- */

/* Does a section with a condition want this run? */
static bool is_meant(const struct script_section *section, int mode, const char *input) {
    if (section->mode >= 0 && section->mode != mode) return false;
    return !section->when || (input && strstr(input, section->when));
}

/* Sections with a condition come first; the others are a sequence whose last one repeats. NULL
 * when there is none. */
static const struct script_section *choose(engine_model *model, int mode, const char *input) {
    const struct script_section *last = NULL;
    size_t n = 0;
    for (size_t i = 0; i < model->script.n_runs; i++) {
        const struct script_section *it = &model->script.runs[i];
        bool conditional = it->when || it->mode >= 0;
        if (conditional && is_meant(it, mode, input)) return it;
        if (!conditional && n++ <= model->n_started) last = it;
    }
    model->n_started++;
    return last;
}

static int play(engine_model *model, engine_host *host, const char *input,
                const char *rendered) {
    static const struct script_section EMPTY = {.mode = -1};
    if (!host_resumed(host)) {
        const struct script_section *section = choose(model, host_mode(host), input);
        model->mark = (struct script_mark){.section = section ? section : &EMPTY};
    }
    return script_play_run(&model->mark, host, input, rendered);
}

const engine engine_scripted = {
    .name = "scripted",
    .lacks = LACKS_VIDEO,
    .recognises = script_recognises,
    .open = open_model,
    .close = close_model,
    .facts = facts,
    .tokenize = tokenize,
    .state_size = state_size,
    .state_save = state_save,
    .state_load = state_load,
    .lora_load = lora_load,
    .lora_use = lora_use,
    .play = play,
};

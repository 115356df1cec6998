/* The model's chat template, cut into what stands around a turn's words.
 *
 * The library renders the templates that it knows by sight. Rendered around marker words, such a
 * template shows what comes before and after each of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static const char SYSTEM[] = "SystemWords-8d1c", USER[] = "UserWords-8d1c",
                  ANSWER[] = "AnswerWords-8d1c", NEXT[] = "NextWords-8d1c";

typedef struct {
    const char *at;
    size_t length;
} piece;

/* Messages as the template has them, with the beginning of an answer; NULL where the library does
 * not know the template. To be freed. */
static char *render(const engine_model *model, const libllama_message *messages, size_t n) {
    const char *template = model->library->model_chat_template(model->model, NULL);
    if (!template) return NULL;
    int32_t room = 4096;
    for (;;) {
        char *text = malloc((size_t)room + 1);
        if (!text) return NULL;
        int32_t length =
            model->library->chat_apply_template(template, messages, n, true, text, room);
        if (length >= 0 && length <= room) {
            text[length] = '\0';
            return text;
        }
        free(text);
        if (length < 0) return NULL;
        room = length;
    }
}

/* What stands before `word`, from `from` on; `from` moves behind the word. */
static bool cut(const char **from, const char *word, piece *before) {
    const char *at = strstr(*from, word);
    if (!at) return false;
    *before = (piece){*from, (size_t)(at - *from)};
    *from = at + strlen(word);
    return true;
}

static bool drop_start(piece *from, piece start) {
    if (start.length == 0 || from->length < start.length ||
        memcmp(from->at, start.at, start.length) != 0) {
        return false;
    }
    from->at += start.length;
    from->length -= start.length;
    return true;
}

static bool drop_end(piece *from, const char *end) {
    size_t length = strlen(end);
    if (from->length < length || memcmp(from->at + from->length - length, end, length) != 0) {
        return false;
    }
    from->length -= length;
    return true;
}

static piece piece_of(const engine_model *model, int32_t token) {
    piece made = {"", 0};
    made.length = llama_piece(model, token, true, &made.at);
    return made;
}

static bool set(engine_model *model, enum llama_text which, piece from) {
    char *copy = strndup(from.at, from.length);
    if (!copy) return false;
    free(model->texts[which]);
    model->texts[which] = copy;
    return true;
}

/* The token that opens a text is the front's matter. */
static piece without_bos(const engine_model *model, piece from) {
    if (model->facts.add_bos) drop_start(&from, piece_of(model, model->facts.bos));
    return from;
}

static bool cut_prompt(engine_model *model) {
    const libllama_message turn = {"user", USER};
    char *text = render(model, &turn, 1);
    const char *at = text;
    piece before;
    bool ok = true;
    if (text && cut(&at, USER, &before)) {
        ok = set(model, TEXT_PROMPT_PREFIX, without_bos(model, before)) &&
             set(model, TEXT_PROMPT_POSTFIX, (piece){at, strlen(at)});
    }
    free(text);
    return ok;
}

/* A template that puts the system's words into the user's turn has no pieces for it. */
static bool cut_system(engine_model *model) {
    const libllama_message turns[] = {{"system", SYSTEM}, {"user", USER}};
    char *text = render(model, turns, 2);
    const char *at = text;
    piece before, between;
    bool ok = true;
    if (text && cut(&at, SYSTEM, &before) && cut(&at, USER, &between) &&
        drop_end(&between, model->texts[TEXT_PROMPT_PREFIX])) {
        ok = set(model, TEXT_SYSTEM_PREFIX, without_bos(model, before)) &&
             set(model, TEXT_SYSTEM_POSTFIX, between);
    }
    free(text);
    return ok;
}

/* What comes after an answer's end token and before the next turn. */
static bool cut_gap(engine_model *model) {
    const libllama_message turns[] = {{"user", USER}, {"assistant", ANSWER}, {"user", NEXT}};
    char *text = render(model, turns, 3);
    const char *at = text;
    piece before, between;
    bool ok = true;
    if (text && cut(&at, ANSWER, &before) && cut(&at, NEXT, &between) &&
        drop_end(&between, model->texts[TEXT_PROMPT_PREFIX])) {
        int32_t eos = model->facts.eos;
        bool by_eos = eos >= 0 && drop_start(&between, piece_of(model, eos));
        /* The library guesses the end of a turn by names; the template knows it. */
        if (by_eos) model->facts.eot = eos;
        if (by_eos || drop_start(&between, piece_of(model, model->facts.eot))) {
            ok = set(model, TEXT_GAP, between);
        }
    }
    free(text);
    return ok;
}

bool llama_template_cut(engine_model *model) {
    return cut_prompt(model) &&
           (!*model->texts[TEXT_PROMPT_PREFIX] || (cut_system(model) && cut_gap(model)));
}

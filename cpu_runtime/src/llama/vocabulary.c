/* Text to tokens and back. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

int64_t llama_tokens(const engine_model *model, const char *text, size_t length, bool special,
                     int32_t *tokens, size_t capacity) {
    if (length > INT32_MAX) return ENGINE_REFUSED;
    int32_t room = capacity > INT32_MAX ? INT32_MAX : (int32_t)capacity;
    int32_t n = model->library->tokenize(model->vocab, text, (int32_t)length, tokens, room, false,
                                         special);
    if (n == INT32_MIN) return ENGINE_REFUSED;
    return n < 0 ? -(int64_t)n : n; /* negative: so many do not fit */
}

/* ---- Pieces: they have to stay, so all are asked for when the model is opened ---- */

void llama_pieces_free(llama_pieces *pieces) {
    free(pieces->bytes);
    free(pieces->starts);
    free(pieces->hidden);
    *pieces = (llama_pieces){0};
}

/* A token's bytes at `at`; -1 when memory is short. */
static int32_t add_piece(engine_model *model, int32_t token, size_t at, size_t *room) {
    llama_pieces *pieces = &model->pieces;
    for (;;) {
        size_t left = *room - at;
        int32_t n = model->library->token_to_piece(
            model->vocab, token, pieces->bytes + at, left > INT32_MAX ? INT32_MAX : (int32_t)left,
            0, true);
        if (n >= 0) return n;
        *room = 2 * *room + (size_t)-(int64_t)n;
        char *grown = realloc(pieces->bytes, *room);
        if (!grown) return -1;
        pieces->bytes = grown;
    }
}

static bool is_hidden(const engine_model *model, int32_t token) {
    char unused[64];
    return model->library->token_to_piece(model->vocab, token, unused, sizeof unused, 0, false) ==
           0;
}

bool llama_pieces_make(engine_model *model) {
    llama_pieces *pieces = &model->pieces;
    size_t n = (size_t)model->facts.n_vocab, at = 0, room = 8 * n + 64;
    pieces->starts = malloc((n + 1) * sizeof *pieces->starts);
    pieces->hidden = calloc(n, sizeof *pieces->hidden);
    pieces->bytes = malloc(room);
    if (!pieces->starts || !pieces->hidden || !pieces->bytes) return false;
    for (size_t i = 0; i < n; i++) {
        pieces->starts[i] = (uint32_t)at;
        int32_t length = add_piece(model, (int32_t)i, at, &room);
        if (length < 0 || at + (size_t)length > UINT32_MAX) return false;
        pieces->hidden[i] = is_hidden(model, (int32_t)i);
        at += (size_t)length;
    }
    pieces->starts[n] = (uint32_t)at;
    return true;
}

size_t llama_piece(const engine_model *model, int32_t token, bool special, const char **bytes) {
    const llama_pieces *pieces = &model->pieces;
    *bytes = "";
    if (token < 0 || token >= model->facts.n_vocab) return 0;
    if (!special && pieces->hidden[token]) return 0;
    *bytes = pieces->bytes + pieces->starts[token];
    return pieces->starts[token + 1] - pieces->starts[token];
}

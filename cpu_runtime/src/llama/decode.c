/* Evaluates tokens batch by batch, and keeps the rows that are wanted. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* What one llama_decode is given. */
typedef struct {
    int32_t tokens[BATCH], positions[BATCH], n_sequences[BATCH];
    int32_t *sequences[BATCH];
    int8_t wanted[BATCH];
    int32_t sequence; /* always 0 */
    libllama_batch batch;
} filled;

static void fill(filled *to, const int32_t *tokens, float *embeddings, size_t n, size_t position,
                 bool all) {
    to->sequence = 0;
    for (size_t i = 0; i < n; i++) {
        if (!embeddings) to->tokens[i] = tokens[i];
        to->positions[i] = (int32_t)(position + i);
        to->n_sequences[i] = 1;
        to->sequences[i] = &to->sequence;
        to->wanted[i] = all;
    }
    to->batch = (libllama_batch){
        .n_tokens = (int32_t)n,
        .token = embeddings ? NULL : to->tokens,
        .embd = embeddings,
        .pos = to->positions,
        .n_seq_id = to->n_sequences,
        .seq_id = to->sequences,
        .logits = to->wanted,
    };
}

static int explain(int32_t code, size_t n, size_t position, engine_error *error) {
    char why[200];
    if (code == 1) {
        return llama_refuse(error, "llama.cpp finds no room in its cache for %zu tokens after %zu",
                            n, position);
    }
    libllama_last_error(why, sizeof why);
    return llama_refuse(error, "llama.cpp could not evaluate the tokens (%d%s%s)", (int)code,
                        *why ? ": " : "", why);
}

/* Rows of the last batch, the n that were wanted, behind those of the batches before. */
static bool keep_rows(engine_model *model, size_t n, float *to) {
    const libllama *with = model->library;
    bool hidden = model->kept == ROWS_HIDDEN;
    size_t width = (size_t)(hidden ? model->facts.n_embd : model->facts.n_vocab);
    for (size_t i = 0; i < n; i++) {
        const float *row = hidden ? with->get_embeddings_ith(model->context, (int32_t)i)
                                  : with->get_logits_ith(model->context, (int32_t)i);
        if (!row) return false;
        memcpy(to + i * width, row, width * sizeof *to);
    }
    return true;
}

/* One batch; `last`: the row of its last token is wanted even where not all are. */
static int decode_batch(engine_model *model, filled *what, bool last, engine_error *error) {
    const size_t n = (size_t)what->batch.n_tokens;
    what->wanted[n - 1] = (int8_t)(what->wanted[n - 1] || last);
    libllama_forget_errors();
    int32_t code = model->library->decode(model->context, what->batch);
    if (code == 0) return ENGINE_OK;
    const size_t position = (size_t)what->positions[0];
    if (code == 2) {
        model->library->memory_seq_rm(model->memory, 0, (int32_t)position, -1);
        return ENGINE_ABORTED;
    }
    return explain(code, n, position, error);
}

static bool stopped(const atomic_bool *stop) {
    return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

static bool make_room(engine_model *model, size_t n, size_t width) {
    size_t floats;
    if (__builtin_mul_overflow(n, width, &floats)) return false;
    if (floats > SIZE_MAX / sizeof(float)) return false;
    if (floats <= model->room) return true;
    free(model->rows);
    model->rows = malloc(floats * sizeof *model->rows);
    model->room = model->rows ? floats : 0;
    return model->rows != NULL;
}

static int decode_all(engine_model *model, const int32_t *tokens, const float *embeddings, size_t n,
                      size_t position, filled *what, engine_error *error) {
    const bool all = model->kept != ROWS_LAST;
    const size_t width = (size_t)model->facts.n_embd, most = all ? BATCH_OF_ROWS : BATCH;
    const size_t kept_width = model->kept == ROWS_HIDDEN ? width : (size_t)model->facts.n_vocab;
    int code = ENGINE_OK;
    for (size_t done = 0, some; done < n && code == ENGINE_OK; done += some) {
        some = smaller(most, n - done);
        if (stopped(model->stop)) return ENGINE_ABORTED;
        fill(what, embeddings ? NULL : tokens + done,
             embeddings ? (float *)(uintptr_t)(embeddings + done * width) : NULL, some,
             position + done, all);
        code = decode_batch(model, what, done + some == n, error);
        if (code == ENGINE_OK && all && !keep_rows(model, some, model->rows + done * kept_width)) {
            return llama_refuse(error, "llama.cpp gives no %s for this model",
                                model->kept == ROWS_HIDDEN ? "hidden states" : "logits");
        }
    }
    return code;
}

int llama_decode_rows(engine_model *model, const int32_t *tokens, const float *embeddings,
                      size_t n, size_t position, engine_rows rows, const atomic_bool *stop,
                      engine_error *error) {
    const libllama *with = model->library;
    const size_t width = (size_t)(rows == ROWS_HIDDEN ? model->facts.n_embd : model->facts.n_vocab);
    filled what;
    model->last = NULL;
    model->kept = rows;
    if (rows != ROWS_LAST && !make_room(model, n, width)) {
        return llama_refuse(error, "there is not enough memory for the rows of %zu tokens", n);
    }
    if (!with->memory_seq_rm(model->memory, 0, (int32_t)position, -1)) {
        return llama_refuse(error, "this model's cache cannot go back to token %zu", position);
    }
    with->set_embeddings(model->context, rows == ROWS_HIDDEN);
    model->stop = stop;
    int code = decode_all(model, tokens, embeddings, n, position, &what, error);
    model->stop = NULL;
    if (code != ENGINE_OK) {
        with->memory_seq_rm(model->memory, 0, (int32_t)position, -1);
        return code;
    }
    model->last = rows == ROWS_LAST ? with->get_logits_ith(model->context, -1) : model->rows;
    if (model->last) return ENGINE_OK;
    return llama_refuse(error, "llama.cpp gives no logits for this model");
}

const float *llama_logits(const engine_model *model) {
    return model->kept == ROWS_HIDDEN ? NULL : model->last;
}

const float *llama_hidden(const engine_model *model) {
    return model->kept == ROWS_HIDDEN ? model->last : NULL;
}

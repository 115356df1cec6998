/* Reads the weights. Q8_0 stays bytes, all else becomes floats. */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor.h"

typedef struct {
    const char *name;
    enum { WIDE_EMBD, WIDE_KV, WIDE_FF } n_in, n_out;
} slot_kind;

static const slot_kind kinds[SLOTS_PER_LAYER] = {
    [SLOT_Q] = {"attn_q", WIDE_EMBD, WIDE_EMBD},
    [SLOT_K] = {"attn_k", WIDE_EMBD, WIDE_KV},
    [SLOT_V] = {"attn_v", WIDE_EMBD, WIDE_KV},
    [SLOT_ATTN_OUT] = {"attn_output", WIDE_EMBD, WIDE_EMBD},
    [SLOT_GATE] = {"ffn_gate", WIDE_EMBD, WIDE_FF},
    [SLOT_UP] = {"ffn_up", WIDE_EMBD, WIDE_FF},
    [SLOT_DOWN] = {"ffn_down", WIDE_FF, WIDE_EMBD},
};

size_t tiny_slots(const tiny_config *config)
{
    return config->n_layers * SLOTS_PER_LAYER + 1;
}

void tiny_slot_name(const tiny_config *config, size_t slot, const char *suffix, char name[64])
{
    if (slot + 1 == tiny_slots(config))
        snprintf(name, 64, "output.weight%s", suffix);
    else
        snprintf(name, 64, "blk.%zu.%s.weight%s", slot / SLOTS_PER_LAYER,
                 kinds[slot % SLOTS_PER_LAYER].name, suffix);
}

void tiny_slot_shape(const tiny_config *config, size_t slot, size_t *n_in, size_t *n_out)
{
    const size_t widths[] = {
        [WIDE_EMBD] = config->n_embd, [WIDE_KV] = config->kv_dim, [WIDE_FF] = config->n_ff};
    if (slot + 1 == tiny_slots(config)) {
        *n_in = config->n_embd;
        *n_out = config->n_vocab;
    } else {
        *n_in = widths[kinds[slot % SLOTS_PER_LAYER].n_in];
        *n_out = widths[kinds[slot % SLOTS_PER_LAYER].n_out];
    }
}

static int find_shaped(const tiny_gguf *file, const char *name, size_t n_in, size_t n_out,
                       const tiny_tensor **tensor, engine_error *error)
{
    *tensor = tiny_gguf_tensor(file, name);
    if (!*tensor)
        return tiny_refuse(error, "the tensor %s is missing", name);
    const size_t *dims = (*tensor)->dims;
    if (dims[0] != n_in || dims[1] != n_out || dims[2] != 1 || dims[3] != 1)
        return tiny_refuse(error, "the tensor %s is %zu x %zu instead of %zu x %zu", name, dims[0],
                           dims[1], n_in, n_out);
    return ENGINE_OK;
}

static int read_row(const tiny_tensor *tensor, size_t row, float *values, const char *name,
                    engine_error *error)
{
    tiny_tensor_row(tensor, row, values);
    for (size_t i = 0; i < tensor->dims[0]; i++)
        if (!isfinite(values[i]))
            return tiny_refuse(error, "the tensor %s holds a value that is not a finite number",
                               name);
    return ENGINE_OK;
}

/* Bytes stay bytes: they are less to read for each token. */
static int read_q8(tiny_matrix *matrix, const tiny_tensor *tensor, const char *name,
                   engine_error *error)
{
    const size_t n_in = tensor->dims[0], n_out = tensor->dims[1], n_blocks = n_in / TINY_BLOCK;
    int8_t *values = malloc(n_in);
    float *scales = tiny_floats(n_blocks);
    int result = ENGINE_OK;
    if (!values || !scales || !tiny_matrix_make_q8(matrix, n_in, n_out))
        result = tiny_no_memory(error);
    for (size_t i = 0; result == ENGINE_OK && i < n_out; i++) {
        tiny_tensor_q8_row(tensor, i, values, scales);
        for (size_t k = 0; k < n_blocks; k++)
            if (!isfinite(scales[k]))
                result = tiny_refuse(error,
                                     "the tensor %s holds a value that is not a finite number",
                                     name);
        tiny_matrix_set_row_q8(matrix, i, values, scales);
    }
    free(values);
    free(scales);
    return result;
}

int tiny_matrix_read(tiny_matrix *matrix, const tiny_gguf *file, const char *name, size_t n_in,
                     size_t n_out, engine_error *error)
{
    const tiny_tensor *tensor;
    int result = find_shaped(file, name, n_in, n_out, &tensor, error);
    if (result != ENGINE_OK)
        return result;
    if (tensor->type == TENSOR_Q8_0)
        return read_q8(matrix, tensor, name, error);
    float *row = tiny_floats(n_in);
    if (!row || !tiny_matrix_make(matrix, n_in, n_out)) {
        free(row);
        return tiny_no_memory(error);
    }
    for (size_t i = 0; result == ENGINE_OK && i < n_out; i++) {
        result = read_row(tensor, i, row, name, error);
        tiny_matrix_set_row(matrix, i, row);
    }
    free(row);
    return result;
}

static int read_norm(float *norm, const tiny_gguf *file, const char *name, size_t n,
                     engine_error *error)
{
    const tiny_tensor *tensor;
    int result = find_shaped(file, name, n, 1, &tensor, error);
    return result == ENGINE_OK ? read_row(tensor, 0, norm, name, error) : result;
}

static int read_norms(tiny_weights *w, const tiny_config *c, const tiny_gguf *file,
                      engine_error *error)
{
    char name[64];
    w->attn_norms = tiny_floats(c->n_layers * c->n_embd);
    w->ffn_norms = tiny_floats(c->n_layers * c->n_embd);
    w->output_norm = tiny_floats(c->n_embd);
    if (!w->attn_norms || !w->ffn_norms || !w->output_norm)
        return tiny_no_memory(error);
    for (size_t i = 0; i < c->n_layers; i++) {
        snprintf(name, sizeof name, "blk.%zu.attn_norm.weight", i);
        if (read_norm(w->attn_norms + i * c->n_embd, file, name, c->n_embd, error))
            return ENGINE_REFUSED;
        snprintf(name, sizeof name, "blk.%zu.ffn_norm.weight", i);
        if (read_norm(w->ffn_norms + i * c->n_embd, file, name, c->n_embd, error))
            return ENGINE_REFUSED;
    }
    return read_norm(w->output_norm, file, "output_norm.weight", c->n_embd, error);
}

static int read_matrices(tiny_weights *w, const tiny_config *c, const tiny_gguf *file,
                         engine_error *error)
{
    char name[64];
    w->tied = !tiny_gguf_tensor(file, "output.weight");
    w->matrices = calloc(tiny_slots(c), sizeof *w->matrices);
    if (!w->matrices)
        return tiny_no_memory(error);
    w->n_slots = tiny_slots(c);
    for (size_t slot = 0; slot < w->n_slots; slot++) {
        size_t n_in, n_out;
        if (w->tied && slot + 1 == w->n_slots) {
            w->matrices[slot] = w->embeddings;
            break;
        }
        tiny_slot_name(c, slot, "", name);
        tiny_slot_shape(c, slot, &n_in, &n_out);
        if (tiny_matrix_read(&w->matrices[slot], file, name, n_in, n_out, error))
            return ENGINE_REFUSED;
    }
    return ENGINE_OK;
}

int tiny_all_used(const tiny_gguf *file, engine_error *error)
{
    char shown[TINY_NAME];
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!file->tensors[i].used)
            return tiny_refuse(error, "the tensor %s is not one that this engine knows",
                               tiny_shown(file->tensors[i].name, shown));
    return ENGINE_OK;
}

int tiny_weights_read(tiny_weights *weights, const tiny_config *config, const tiny_gguf *file,
                      engine_error *error)
{
    int result = tiny_matrix_read(&weights->embeddings, file, "token_embd.weight", config->n_embd,
                                  config->n_vocab, error);
    if (result == ENGINE_OK)
        result = read_norms(weights, config, file, error);
    if (result == ENGINE_OK)
        result = read_matrices(weights, config, file, error);
    return result == ENGINE_OK ? tiny_all_used(file, error) : result;
}

void tiny_weights_free(tiny_weights *weights)
{
    for (size_t slot = 0; slot < weights->n_slots; slot++)
        if (!weights->tied || slot + 1 < weights->n_slots)
            tiny_matrix_free(&weights->matrices[slot]);
    free(weights->matrices);
    tiny_matrix_free(&weights->embeddings);
    free(weights->attn_norms);
    free(weights->ffn_norms);
    free(weights->output_norm);
    *weights = (tiny_weights){0};
}

/* LoRA adapters as llama.cpp's GGUF files have them: <tensor>.lora_a and <tensor>.lora_b, added
 * to what the model's own matrix gives at run time, so that they can be exchanged at will. */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "metadata.h"
#include "tensor.h"

enum { MOST_ADAPTERS = 64 };

static int check_kind(const tiny_gguf *file, engine_error *error)
{
    tiny_text type = {"", 0}, adapter = {"", 0}, architecture = {"", 0};
    if (tiny_get_text(file, "general.type", &type, error) ||
        tiny_get_text(file, "adapter.type", &adapter, error) ||
        tiny_get_text(file, "general.architecture", &architecture, error))
        return ENGINE_REFUSED;
    if (!tiny_text_is(type, "adapter") || !tiny_text_is(adapter, "lora"))
        return tiny_refuse(error, "the file is not a LoRA adapter");
    if (!tiny_text_is(architecture, "llama"))
        return tiny_refuse(error, "the adapter is for another architecture than llama");
    return ENGINE_OK;
}

static int read_pair(tiny_adapter_pair *pair, const engine_model *model, const tiny_gguf *file,
                     size_t slot, engine_error *error)
{
    const tiny_config *c = &model->config;
    char name_a[64], name_b[64];
    size_t n_in, n_out;
    tiny_slot_name(c, slot, ".lora_a", name_a);
    tiny_slot_name(c, slot, ".lora_b", name_b);
    tiny_slot_shape(c, slot, &n_in, &n_out);
    const tiny_tensor *a = tiny_gguf_tensor(file, name_a);
    if (!a)
        return ENGINE_OK; /* a lone lora_b is found as not used in the end */
    const size_t rank = a->dims[1];
    if (rank > c->n_embd)
        return tiny_refuse(error, "the tensor %s has a rank out of range", name_a);
    if (tiny_matrix_read(&pair->a, file, name_a, n_in, rank, error))
        return ENGINE_REFUSED;
    return tiny_matrix_read(&pair->b, file, name_b, rank, n_out, error);
}

static int read_pairs(tiny_adapter *adapter, const engine_model *model, const tiny_gguf *file,
                      float scale, engine_error *error)
{
    float alpha = 0.0f;
    if (check_kind(file, error) || tiny_get_float(file, "adapter.lora.alpha", &alpha, error))
        return ENGINE_REFUSED;
    if (!isfinite(scale))
        return tiny_refuse(error, "the adapter's scale is not a finite number");
    if (!file->n_tensors)
        return tiny_refuse(error, "the adapter holds no tensors");
    for (size_t slot = 0; slot < model->weights.n_slots; slot++) {
        tiny_adapter_pair *pair = &adapter->pairs[slot];
        if (read_pair(pair, model, file, slot, error))
            return ENGINE_REFUSED;
        /* No alpha: the scale is meant as it is. */
        pair->scale = alpha != 0.0f && pair->a.n_out ? scale * alpha / (float)pair->a.n_out : scale;
    }
    return tiny_all_used(file, error);
}

static void free_pairs(tiny_adapter *adapter, size_t n_slots)
{
    for (size_t slot = 0; adapter->pairs && slot < n_slots; slot++) {
        tiny_matrix_free(&adapter->pairs[slot].a);
        tiny_matrix_free(&adapter->pairs[slot].b);
    }
    free(adapter->pairs);
    adapter->pairs = NULL;
}

/* The first adapter needs scratch space that models without adapters do not carry. */
static bool make_room(engine_model *model)
{
    const tiny_config *c = &model->config;
    size_t widest = c->n_vocab > c->n_ff ? c->n_vocab : c->n_ff;
    widest = widest > c->n_embd ? widest : c->n_embd;
    if (!model->adapters)
        model->adapters = calloc(MOST_ADAPTERS, sizeof *model->adapters);
    if (!model->scratch.low_rank)
        model->scratch.low_rank = tiny_floats(TINY_BATCH * c->n_embd);
    if (!model->scratch.delta)
        model->scratch.delta = tiny_floats(TINY_BATCH * widest);
    return model->adapters && model->scratch.low_rank && model->scratch.delta;
}

static int load_parsed(engine_model *model, const tiny_gguf *file, float scale,
                       engine_error *error)
{
    if (model->n_adapters == MOST_ADAPTERS)
        return tiny_refuse(error, "there are %d adapters already", MOST_ADAPTERS);
    if (!make_room(model))
        return tiny_no_memory(error);
    tiny_adapter adapter = {calloc(model->weights.n_slots, sizeof *adapter.pairs)};
    if (!adapter.pairs)
        return tiny_no_memory(error);
    if (read_pairs(&adapter, model, file, scale, error)) {
        free_pairs(&adapter, model->weights.n_slots);
        return ENGINE_REFUSED;
    }
    model->adapters[model->n_adapters] = adapter;
    return (int)model->n_adapters++;
}

int tiny_lora_load_memory(engine_model *model, const uint8_t *bytes, size_t size, float scale,
                          engine_error *error)
{
    tiny_gguf file;
    int result = tiny_gguf_parse(&file, bytes, size, error);
    if (result == ENGINE_OK) {
        result = load_parsed(model, &file, scale, error);
        tiny_gguf_close(&file);
    }
    return result;
}

int tiny_lora_load(engine_model *model, const char *path, float scale, engine_error *error)
{
    tiny_gguf file;
    int result = tiny_gguf_open(&file, path, error);
    if (result == ENGINE_OK) {
        result = load_parsed(model, &file, scale, error);
        tiny_gguf_close(&file);
    }
    return result;
}

int tiny_lora_use(engine_model *model, int index)
{
    if (index < -1 || (index >= 0 && (size_t)index >= model->n_adapters))
        return ENGINE_REFUSED;
    model->adapter = index;
    return ENGINE_OK;
}

void tiny_lora_free(engine_model *model)
{
    for (size_t i = 0; i < model->n_adapters; i++)
        free_pairs(&model->adapters[i], model->weights.n_slots);
    free(model->adapters);
    model->adapters = NULL;
    model->n_adapters = 0;
}

/* Adapters. Each is tried when it is loaded: a release of the library accepts them and computes
 * without (its reuse of graphs overlooks them), which nobody would notice. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { N_TRIAL = 4 };

/* Logits after a few tokens in a context of their own; false where there are none. */
static bool trial(const engine_model *model, libllama_adapter *adapter, float scale, float *to) {
    const libllama *with = model->library;
    int32_t tokens[N_TRIAL], positions[N_TRIAL] = {0, 1, 2, 3}, n_sequences[N_TRIAL], sequence = 0;
    int32_t *sequences[N_TRIAL];
    int8_t wanted[N_TRIAL] = {0, 0, 0, 1};
    libllama_context *context =
        with->init_from_model(model->model, libllama_context_room(with, 32, 32));
    if (!context) return false;
    for (int i = 0; i < N_TRIAL; i++) {
        tokens[i] = model->facts.n_vocab / (N_TRIAL + 1) * (i + 1);
        n_sequences[i] = 1;
        sequences[i] = &sequence;
    }
    libllama_batch batch = {N_TRIAL, tokens, NULL, positions, n_sequences, sequences, wanted};
    with->set_n_threads(context, 1, 1);
    const float *row = NULL;
    if (with->set_adapters_lora(context, &adapter, adapter ? 1 : 0, &scale) == 0 &&
        with->decode(context, batch) == 0) {
        row = with->get_logits_ith(context, -1);
    }
    if (row) memcpy(to, row, (size_t)model->facts.n_vocab * sizeof *to);
    with->free(context);
    return row != NULL;
}

static int check(const engine_model *model, libllama_adapter *adapter, engine_error *error) {
    size_t size = (size_t)model->facts.n_vocab * sizeof(float);
    float *without = malloc(size), *with = malloc(size);
    int code = ENGINE_OK;
    if (!without || !with || !trial(model, NULL, 1, without) || !trial(model, adapter, 1, with)) {
        code = llama_refuse(error, "llama.cpp cannot evaluate tokens with the adapter");
    } else if (memcmp(without, with, size) == 0) {
        code = llama_refuse(error,
                            "the adapter changes nothing: it is empty, or this llama.cpp (%.200s) "
                            "computes without adapters",
                            model->library->path);
    }
    free(without);
    free(with);
    return code;
}

static bool keep(engine_model *model, libllama_adapter *adapter, float scale) {
    size_t n = (size_t)model->n_adapters + 1;
    libllama_adapter **adapters = realloc(model->adapters, n * sizeof *adapters);
    if (adapters) model->adapters = adapters;
    float *scales = realloc(model->scales, n * sizeof *scales);
    if (scales) model->scales = scales;
    if (!adapters || !scales) return false;
    adapters[n - 1] = adapter;
    scales[n - 1] = scale;
    return true;
}

/* One that is refused stays in memory until the model is closed: releases differ in how an adapter
 * is freed by itself. */
int llama_lora_load(engine_model *model, const char *path, float scale, engine_error *error) {
    char why[200];
    libllama_forget_errors();
    libllama_adapter *adapter = model->library->adapter_lora_init(model->model, path);
    if (!adapter) {
        libllama_last_error(why, sizeof why);
        return llama_refuse(error, "llama.cpp cannot load the adapter %.160s: %s", path,
                            *why ? why : "it does not say why");
    }
    if (check(model, adapter, error) != ENGINE_OK) return ENGINE_REFUSED;
    if (keep(model, adapter, scale)) return model->n_adapters++;
    return llama_refuse(error, "there is not enough memory");
}

int llama_lora_use(engine_model *model, int index) {
    if (index < -1 || index >= model->n_adapters) return ENGINE_REFUSED;
    bool one = index >= 0;
    int32_t code = model->library->set_adapters_lora(
        model->context, one ? &model->adapters[index] : NULL, one ? 1 : 0,
        one ? &model->scales[index] : NULL);
    return code == 0 ? ENGINE_OK : ENGINE_REFUSED;
}

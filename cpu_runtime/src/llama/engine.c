/* The engine "llama": any model that a libllama which is installed can run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect.h"
#include "model.h"

/* Kinds of llama_rope_type with several positions per token. */
enum { ROPE_MROPE = 8, ROPE_VISION = 24, ROPE_IMROPE = 40 };

static void close_model(engine_model *model) {
    if (!model) return;
    if (model->context) model->library->free(model->context);
    if (model->model) model->library->model_free(model->model); /* its adapters, too */
    for (size_t i = 0; i < N_TEXTS; i++) free(model->texts[i]);
    llama_pieces_free(&model->pieces);
    free(model->rows);
    free(model->adapters);
    free(model->scales);
    free(model);
}

static int no_memory(engine_error *error) {
    return llama_refuse(error, "there is not enough memory");
}

/* ---- The model ---- */

static int load(engine_model *model, const char *path, engine_error *error) {
    libllama_room room;
    char why[200];
    if (libllama_model_room(model->library, &room, error) != ENGINE_OK) return ENGINE_REFUSED;
    libllama_forget_errors();
    model->model = model->library->model_load_from_file(path, room);
    if (model->model) return ENGINE_OK;
    libllama_last_error(why, sizeof why);
    return llama_refuse(error, "llama.cpp cannot load %.160s: %s", path,
                        *why ? why : "it does not say why");
}

static const char *what_it_is(const engine_model *model) {
    const libllama *with = model->library;
    int32_t rope = with->model_rope_type(model->model);
    if (!with->model_has_decoder(model->model)) return "an encoder, which generates no text";
    if (with->model_has_encoder(model->model)) return "an encoder-decoder model";
    if (with->model_is_recurrent(model->model)) return "a recurrent model";
    if (with->model_is_hybrid(model->model)) return "a model that is partly recurrent";
    if (with->model_is_diffusion(model->model)) return "a diffusion model";
    if (rope == ROPE_MROPE || rope == ROPE_VISION || rope == ROPE_IMROPE) {
        return "a model with several positions per token (M-RoPE)";
    }
    return NULL;
}

static int check_kind(const engine_model *model, const char *path, engine_error *error) {
    const char *kind = what_it_is(model);
    if (!kind) return ENGINE_OK;
    return llama_refuse(error, "%.160s is %s, which this runtime has not been tried with", path,
                        kind);
}

static int open_context(engine_model *model, const char *path, const engine_options *options,
                        engine_error *error) {
    const libllama *with = model->library;
    int32_t n_ctx = options->n_ctx, most = with->model_n_ctx_train(model->model);
    char why[200];
    if (n_ctx > most) {
        return llama_refuse(error, "max_context_len %d is more than the model's limit of %d",
                            (int)n_ctx, (int)most);
    }
    libllama_forget_errors();
    model->context = with->init_from_model(
        model->model, libllama_context_room(with, n_ctx, n_ctx < BATCH ? n_ctx : BATCH));
    if (!model->context) {
        libllama_last_error(why, sizeof why);
        return llama_refuse(error, "llama.cpp cannot make room for a context of %d: %s",
                            (int)n_ctx, *why ? why : "it does not say why");
    }
    model->memory = with->get_memory(model->context);
    if (!model->memory || with->pooling_type(model->context) > 0) {
        return llama_refuse(error, "%.160s is an embedding model, which generates no text", path);
    }
    return ENGINE_OK;
}

static bool poll_stop(void *userdata) {
    const engine_model *model = userdata;
    return model->stop && atomic_load_explicit(model->stop, memory_order_relaxed);
}

static void set_up_context(engine_model *model, const engine_options *options) {
    model->library->set_n_threads(model->context, options->threads, options->threads);
    model->library->set_abort_callback(model->context, poll_stop, model);
}

/* ---- What the front may know of it ---- */

/* A key's text; "" where there is none. NULL when memory is short. */
static char *meta(const engine_model *model, const char *key) {
    char small[256];
    int32_t length = model->library->model_meta_val_str(model->model, key, small, sizeof small);
    if (length <= 0) return strdup("");
    if ((size_t)length < sizeof small) return strdup(small);
    char *large = malloc((size_t)length + 1);
    if (large) {
        model->library->model_meta_val_str(model->model, key, large, (size_t)length + 1);
    }
    return large;
}

static bool read_texts(engine_model *model) {
    static const char *const KEYS[N_TEXTS] = {
        [TEXT_NAME] = "general.name",
        [TEXT_SYSTEM_PREFIX] = "rkllm.system_prefix",
        [TEXT_SYSTEM_POSTFIX] = "rkllm.system_postfix",
        [TEXT_PROMPT_PREFIX] = "rkllm.prompt_prefix",
        [TEXT_PROMPT_POSTFIX] = "rkllm.prompt_postfix",
        [TEXT_TOOL_PREFIX] = "rkllm.tool_prefix",
        [TEXT_TOOL_POSTFIX] = "rkllm.tool_postfix",
        [TEXT_GAP] = "rkllm.turn_gap",
    };
    for (size_t i = 0; i < N_TEXTS; i++) {
        model->texts[i] = meta(model, KEYS[i]);
        if (!model->texts[i]) return false;
    }
    bool own = *model->texts[TEXT_PROMPT_PREFIX] || *model->texts[TEXT_PROMPT_POSTFIX];
    return own || llama_template_cut(model);
}

static void read_numbers(engine_model *model) {
    const libllama *with = model->library;
    const libllama_vocab *vocab = with->model_get_vocab(model->model);
    int32_t n_embd = with->model_n_embd(model->model);
    model->vocab = vocab;
    model->facts = (engine_facts){
        .n_vocab = with->vocab_n_tokens(vocab),
        .n_embd = n_embd,
        .n_ctx_max = with->model_n_ctx_train(model->model),
        .bos = with->vocab_bos(vocab),
        .eos = with->vocab_eos(vocab),
        .eot = with->vocab_eot(vocab),
        .add_bos = with->vocab_get_add_bos(vocab),
        .lacks = with->model_n_embd_inp(model->model) == n_embd ? 0u : (unsigned)LACKS_EMBEDDINGS,
    };
}

static void show_texts(engine_model *model) {
    engine_facts *facts = &model->facts;
    char **texts = model->texts;
    facts->name = *texts[TEXT_NAME] ? texts[TEXT_NAME] : "unnamed";
    facts->system_prefix = texts[TEXT_SYSTEM_PREFIX];
    facts->system_postfix = texts[TEXT_SYSTEM_POSTFIX];
    facts->prompt_prefix = texts[TEXT_PROMPT_PREFIX];
    facts->prompt_postfix = texts[TEXT_PROMPT_POSTFIX];
    facts->tool_prefix = texts[TEXT_TOOL_PREFIX];
    facts->tool_postfix = texts[TEXT_TOOL_POSTFIX];
    facts->turn_gap = texts[TEXT_GAP];
}

/* FNV-1a over the end of the file, which is weights, and the release: tells models apart. */
static uint64_t fingerprint_of(const engine_model *model, const char *path) {
    uint8_t bytes[4096];
    uint64_t hash = 0xcbf29ce484222325u ^ model->library->model_size(model->model);
    FILE *file = fopen(path, "rbe");
    size_t n = 0;
    if (file && fseeko(file, -(off_t)sizeof bytes, SEEK_END) == 0) {
        n = fread(bytes, 1, sizeof bytes, file);
    }
    if (file) fclose(file);
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    for (const char *c = model->library->release; *c; c++) {
        hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
    }
    return hash;
}

/* ---- Opening ---- */

/* One token: a library that computes nonsense, or dies of it, does so now and not amid a run. */
static int try_decode(engine_model *model, engine_error *error) {
    int32_t token = model->facts.bos >= 0 ? model->facts.bos : 0;
    if (llama_decode_rows(model, &token, NULL, 1, 0, ROWS_LAST, NULL, error) != ENGINE_OK) {
        return ENGINE_REFUSED;
    }
    bool sound = false; /* not all the same */
    for (int32_t i = 0; i < model->facts.n_vocab; i++) {
        if (isnan(model->last[i])) {
            return llama_refuse(error, "%.200s computes no numbers for this model",
                                model->library->path);
        }
        sound = sound || fabsf(model->last[i] - model->last[0]) > 0;
    }
    if (!sound) return llama_refuse(error, "this model's logits are all the same");
    if (model->library->memory_seq_rm(model->memory, 0, 0, -1)) return ENGINE_OK;
    return llama_refuse(error, "this model's cache cannot go back");
}

static int open_all(engine_model *model, const char *path, const engine_options *options,
                    engine_error *error) {
    if (load(model, path, error) != ENGINE_OK || check_kind(model, path, error) != ENGINE_OK ||
        open_context(model, path, options, error) != ENGINE_OK) {
        return ENGINE_REFUSED;
    }
    read_numbers(model);
    if (model->facts.n_vocab <= 0) {
        return llama_refuse(error, "%.160s has no vocabulary", path);
    }
    if (!llama_pieces_make(model) || !read_texts(model)) return no_memory(error);
    show_texts(model);
    set_up_context(model, options);
    model->fingerprint = fingerprint_of(model, path);
    if (try_decode(model, error) != ENGINE_OK) return ENGINE_REFUSED;
    if (!*model->texts[TEXT_PROMPT_PREFIX] && !*model->texts[TEXT_PROMPT_POSTFIX]) {
        llama_refuse(error, "llama.cpp's library does not know this model's chat template: prompts "
                            "are read as they are until rkllm.set_chat_template sets one");
    }
    return ENGINE_OK;
}

static int open_model(const char *path, const engine_options *options, engine_model **to,
                      engine_error *error) {
    *to = NULL;
    const libllama *library = libllama_open(error);
    if (!library || llama_inspect(path, error) != ENGINE_OK) return ENGINE_REFUSED;
    engine_model *model = calloc(1, sizeof *model);
    if (!model) return no_memory(error);
    model->library = library;
    int code = open_all(model, path, options, error);
    if (code == ENGINE_OK) {
        *to = model;
    } else {
        close_model(model);
    }
    return code;
}

static bool recognises(const uint8_t *head, size_t size) {
    return size >= 4 && memcmp(head, "GGUF", 4) == 0;
}

static const engine_facts *facts(const engine_model *model) {
    return &model->facts;
}

static bool ends(const engine_model *model, int32_t token) {
    return model->library->vocab_is_eog(model->vocab, token);
}

const engine engine_llama = {
    .name = "llama",
    .lacks = LACKS_BATCH | LACKS_CROSS_ATTENTION | LACKS_VIDEO,
    .recognises = recognises,
    .open = open_model,
    .close = close_model,
    .facts = facts,
    .tokenize = llama_tokens,
    .ends = ends,
    .piece = llama_piece,
    .decode = llama_decode_rows,
    .logits = llama_logits,
    .hidden = llama_hidden,
    .cut = llama_cut,
    .erase = llama_erase,
    .state_size = llama_state_size,
    .state_save = llama_state_save,
    .state_load = llama_state_load,
    .lora_load = llama_lora_load,
    .lora_use = llama_lora_use,
};

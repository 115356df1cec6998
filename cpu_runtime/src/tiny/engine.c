/* The engine "tiny": a small Llama-architecture model out of a GGUF file. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "metadata.h"

enum { MOST_CTX = 1 << 20 };

/* A NUL-terminated copy of a text in the file; `otherwise` where the file has none. */
static int copy_text(const tiny_gguf *file, const char *key, const char *otherwise, char **copy,
                     engine_error *error)
{
    tiny_text text = {otherwise, strlen(otherwise)};
    if (tiny_get_text(file, key, &text, error))
        return ENGINE_REFUSED;
    *copy = calloc(text.length + 1, 1);
    if (!*copy)
        return tiny_no_memory(error);
    memcpy(*copy, text.at, text.length);
    return ENGINE_OK;
}

static int read_facts(engine_model *model, const tiny_gguf *file, engine_error *error)
{
    static const char *const keys[] = {
        "general.name", "rkllm.system_prefix", "rkllm.system_postfix", "rkllm.prompt_prefix",
        "rkllm.prompt_postfix", "rkllm.tool_prefix", "rkllm.tool_postfix"};
    char **texts = model->texts;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (copy_text(file, keys[i], i ? "" : "unnamed", &texts[i], error))
            return ENGINE_REFUSED;
    model->facts = (engine_facts){
        .name = texts[0],
        .n_vocab = (int32_t)model->config.n_vocab,
        .n_embd = (int32_t)model->config.n_embd,
        .n_ctx_max = (int32_t)model->config.n_ctx_train,
        .bos = model->vocab.bos, .eos = model->vocab.eos, .eot = model->vocab.eot,
        .add_bos = model->vocab.add_bos,
        .system_prefix = texts[1], .system_postfix = texts[2],
        .prompt_prefix = texts[3], .prompt_postfix = texts[4],
        .tool_prefix = texts[5], .tool_postfix = texts[6],
    };
    return ENGINE_OK;
}

/* A template in Jinja takes more than this engine has: the user must know that it is not applied. */
static void warn_of_template(const engine_model *model, const tiny_gguf *file, engine_error *error)
{
    const engine_facts *facts = &model->facts;
    if (!*facts->prompt_prefix && !*facts->prompt_postfix &&
        tiny_find(file, "tokenizer.chat_template"))
        tiny_refuse(error, "the engine tiny does not apply the model's chat template: prompts are "
                           "read as they are until rkllm.set_chat_template sets one; the engine "
                           "llama (--library llama) applies the usual ones");
}

/* FNV-1a over words of eight bytes: tells models apart, proves nothing. */
static uint64_t fingerprint_of(const tiny_gguf *file)
{
    uint64_t hash = 0xcbf29ce484222325u ^ file->size;
    for (size_t i = 0; i + 8 <= file->size; i += 8)
        hash = (hash ^ tiny_u64(file->bytes + i)) * 0x100000001b3u;
    return hash;
}

static int read_model(engine_model *model, const tiny_gguf *file, const engine_options *options,
                      engine_error *error)
{
    const size_t n_ctx = (size_t)options->n_ctx;
    if (tiny_vocab_read(&model->vocab, file, error) ||
        tiny_config_read(&model->config, file, model->vocab.count, error) ||
        tiny_weights_read(&model->weights, &model->config, file, error) ||
        read_facts(model, file, error))
        return ENGINE_REFUSED;
    if (!tiny_cache_make(&model->cache, &model->config, n_ctx) ||
        !tiny_scratch_make(&model->scratch, &model->config, options))
        return tiny_refuse(error, "there is not enough memory for a context of %zu", n_ctx);
    model->pool = tiny_pool_make((size_t)options->threads);
    model->fingerprint = fingerprint_of(file);
    warn_of_template(model, file, error);
    return ENGINE_OK;
}

static void close_model(engine_model *model)
{
    if (!model)
        return;
    tiny_pool_free(model->pool);
    tiny_lora_free(model);
    tiny_vocab_free(&model->vocab);
    tiny_weights_free(&model->weights);
    tiny_cache_free(&model->cache);
    tiny_scratch_free(&model->scratch);
    for (size_t i = 0; i < sizeof model->texts / sizeof *model->texts; i++)
        free(model->texts[i]);
    free(model->hidden);
    free(model->logits);
    free(model);
}

static int open_parsed(const tiny_gguf *file, const engine_options *options,
                       engine_model **model, engine_error *error)
{
    if (options->n_ctx < 1 || options->n_ctx > MOST_CTX)
        return tiny_refuse(error, "a context of %d is out of range", (int)options->n_ctx);
    engine_model *new = calloc(1, sizeof *new);
    if (!new)
        return tiny_no_memory(error);
    new->adapter = -1;
    int result = read_model(new, file, options, error);
    if (result == ENGINE_OK)
        *model = new;
    else
        close_model(new);
    return result;
}

int tiny_open_memory(const uint8_t *bytes, size_t size, const engine_options *options,
                     engine_model **model, engine_error *error)
{
    tiny_gguf file;
    *model = NULL;
    int result = tiny_gguf_parse(&file, bytes, size, error);
    if (result == ENGINE_OK) {
        result = open_parsed(&file, options, model, error);
        tiny_gguf_close(&file);
    }
    return result;
}

/* One thread unless more are asked for: two on two busy processors are a little slower than one. */
static engine_options with_threads(const engine_options *options)
{
    engine_options chosen = *options;
    chosen.threads = options->threads_asked ? options->threads : 1;
    return chosen;
}

static int open_path(const char *path, const engine_options *options, engine_model **model,
                     engine_error *error)
{
    const engine_options chosen = with_threads(options);
    tiny_gguf file;
    *model = NULL;
    int result = tiny_gguf_open(&file, path, error);
    if (result == ENGINE_OK) {
        result = open_parsed(&file, &chosen, model, error);
        tiny_gguf_close(&file);
    }
    return result;
}

static const engine_facts *facts(const engine_model *model)
{
    return &model->facts;
}

static int64_t tokenize(const engine_model *model, const char *text, size_t length, bool special,
                        int32_t *tokens, size_t capacity)
{
    return tiny_tokenize(&model->vocab, (tiny_text){text, length}, special, tokens, capacity);
}

static size_t piece(const engine_model *model, int32_t token, bool special, const char **bytes)
{
    *bytes = "";
    if (token < 0 || (size_t)token >= model->vocab.count)
        return 0;
    const tiny_token *t = &model->vocab.tokens[token];
    if (!special && (t->kind == KIND_CONTROL || t->kind == KIND_UNKNOWN))
        return 0;
    *bytes = t->piece.at;
    return t->piece.length;
}

static const float *logits(const engine_model *model)
{
    return model->n_rows ? model->logits : NULL;
}

static const float *hidden(const engine_model *model)
{
    return model->n_rows ? model->hidden : NULL;
}

const engine engine_tiny = {
    .name = "tiny",
    .lacks = LACKS_BATCH | LACKS_CROSS_ATTENTION | LACKS_VIDEO,
    .recognises = tiny_gguf_recognises,
    .open = open_path,
    .close = close_model,
    .facts = facts,
    .tokenize = tokenize,
    .piece = piece,
    .decode = tiny_decode,
    .logits = logits,
    .hidden = hidden,
    .cut = tiny_cut,
    .erase = tiny_erase,
    .state_size = tiny_state_size,
    .state_save = tiny_state_save,
    .state_load = tiny_state_load,
    .lora_load = tiny_lora_load,
    .lora_use = tiny_lora_use,
    .play = NULL,
};

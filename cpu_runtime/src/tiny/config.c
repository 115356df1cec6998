/* The model's dimensions, and whether they go together. */
#include "model.h"

#include "metadata.h"

enum { MOST_EMBD = 16384, MOST_FF = 65536, TENSORS_PER_LAYER = 9 };

/* llama.<name> within 1 .. most; absent counts as *value, and 0 as missing. */
static int dimension(const tiny_gguf *file, const char *key, size_t most, size_t *value,
                     engine_error *error)
{
    if (tiny_get_size(file, key, value, error) != ENGINE_OK)
        return ENGINE_REFUSED;
    if (*value < 1)
        return tiny_refuse(error, "the key %s is missing or zero", key);
    if (*value > most)
        return tiny_refuse(error, "the key %s has a value out of range", key);
    return ENGINE_OK;
}

static int read_dimensions(tiny_config *c, const tiny_gguf *file, engine_error *error)
{
    const size_t most_layers = file->n_tensors / TENSORS_PER_LAYER;
    if (dimension(file, "llama.context_length", INT32_MAX, &c->n_ctx_train, error) ||
        dimension(file, "llama.embedding_length", MOST_EMBD, &c->n_embd, error) ||
        dimension(file, "llama.block_count", most_layers, &c->n_layers, error) ||
        dimension(file, "llama.feed_forward_length", MOST_FF, &c->n_ff, error) ||
        dimension(file, "llama.attention.head_count", c->n_embd, &c->n_heads, error))
        return ENGINE_REFUSED;
    c->n_kv_heads = c->n_heads;
    if (dimension(file, "llama.attention.head_count_kv", c->n_heads, &c->n_kv_heads, error))
        return ENGINE_REFUSED;
    if (c->n_embd % c->n_heads || c->n_heads % c->n_kv_heads)
        return tiny_refuse(error, "%zu values do not divide into %zu heads over %zu", c->n_embd,
                           c->n_heads, c->n_kv_heads);
    c->head_dim = c->n_embd / c->n_heads;
    c->kv_dim = c->head_dim * c->n_kv_heads;
    return ENGINE_OK;
}

static int read_rope(tiny_config *c, const tiny_gguf *file, engine_error *error)
{
    size_t dims = c->head_dim;
    c->rope_base = 10000.0f;
    if (dimension(file, "llama.rope.dimension_count", c->head_dim, &dims, error) ||
        tiny_get_float(file, "llama.rope.freq_base", &c->rope_base, error))
        return ENGINE_REFUSED;
    if (dims % 2)
        return tiny_refuse(error, "the key llama.rope.dimension_count is odd");
    if (!(c->rope_base > 0.0f))
        return tiny_refuse(error, "the key llama.rope.freq_base is not positive");
    c->rope_pairs = dims / 2;
    return ENGINE_OK;
}

/* What would change the arithmetic and is not done here must not be passed over in silence. */
static int refuse_the_rest(const tiny_config *c, const tiny_gguf *file, size_t n_vocab,
                           engine_error *error)
{
    size_t experts = 0, key = c->head_dim, value = c->head_dim, vocab = n_vocab;
    tiny_text scaling = {"none", 4};
    if (tiny_get_size(file, "llama.expert_count", &experts, error) ||
        tiny_get_size(file, "llama.attention.key_length", &key, error) ||
        tiny_get_size(file, "llama.attention.value_length", &value, error) ||
        tiny_get_size(file, "llama.vocab_size", &vocab, error) ||
        tiny_get_text(file, "llama.rope.scaling.type", &scaling, error))
        return ENGINE_REFUSED;
    if (experts)
        return tiny_refuse(error, "models with experts are not supported");
    if (key != c->head_dim || value != c->head_dim)
        return tiny_refuse(error, "heads of another size than %zu are not supported", c->head_dim);
    if (vocab != n_vocab)
        return tiny_refuse(error, "the key llama.vocab_size differs from the number of tokens");
    if (!tiny_text_is(scaling, "none"))
        return tiny_refuse(error, "RoPE scaling is not supported");
    return ENGINE_OK;
}

int tiny_config_read(tiny_config *config, const tiny_gguf *file, size_t n_vocab,
                     engine_error *error)
{
    tiny_text architecture = {"", 0};
    char shown[TINY_NAME];
    if (tiny_get_text(file, "general.architecture", &architecture, error))
        return ENGINE_REFUSED;
    if (!tiny_text_is(architecture, "llama"))
        return tiny_refuse(error, "the architecture is \"%s\", only llama is supported",
                           tiny_shown(architecture, shown));
    config->n_vocab = n_vocab;
    config->epsilon = 1e-5f;
    if (read_dimensions(config, file, error) || read_rope(config, file, error) ||
        tiny_get_float(file, "llama.attention.layer_norm_rms_epsilon", &config->epsilon, error))
        return ENGINE_REFUSED;
    if (!(config->epsilon >= 0.0f))
        return tiny_refuse(error, "the key llama.attention.layer_norm_rms_epsilon is negative");
    return refuse_the_rest(config, file, n_vocab, error);
}

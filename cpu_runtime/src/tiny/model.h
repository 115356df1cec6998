/* An open model: what the files of this engine share. */
#ifndef RKLLM_CPU_TINY_MODEL_H
#define RKLLM_CPU_TINY_MODEL_H

#include "gguf_types.h"
#include "math.h"
#include "vocab.h"

typedef struct {
    size_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, kv_dim, n_ff, n_vocab;
    size_t n_ctx_train, rope_pairs;
    float epsilon, rope_base;
} tiny_config;

/* A layer's matrices. Slot layer * SLOTS_PER_LAYER + kind is one of them; after the last layer
 * comes the slot of the output matrix. */
enum { SLOT_Q, SLOT_K, SLOT_V, SLOT_ATTN_OUT, SLOT_GATE, SLOT_UP, SLOT_DOWN, SLOTS_PER_LAYER };

typedef struct {
    tiny_matrix embeddings; /* one row per token */
    tiny_matrix *matrices;  /* by slot */
    size_t n_slots;
    bool tied;              /* the output matrix is `embeddings` */
    float *attn_norms, *ffn_norms; /* n_layers x n_embd */
    float *output_norm;
} tiny_weights;

/* Keys (already turned by RoPE) and values: [layer][position][kv_dim]. */
typedef struct {
    size_t n_ctx, n_used;
    float *keys, *values;
    float *cosines, *sines; /* [position][rope_pairs] */
} tiny_cache;

/* Room for one batch on its way through the layers. */
typedef struct {
    float *x, *normed, *q, *mixed, *gate, *up, *interleaved;
    float *scores; /* [thread][n_ctx] */
    float *low_rank, *delta; /* made with the first adapter */
} tiny_scratch;

typedef struct {
    tiny_matrix a, b; /* n_in -> rank, rank -> n_out; both empty where the slot is untouched */
    float scale;
} tiny_adapter_pair;

typedef struct {
    tiny_adapter_pair *pairs; /* by slot */
} tiny_adapter;

struct engine_model {
    tiny_config config;
    engine_facts facts;
    char *texts[7];           /* behind the facts' strings */
    tiny_vocab vocab;
    tiny_weights weights;
    tiny_cache cache;
    tiny_scratch scratch;
    tiny_pool *pool;          /* or NULL: one thread */
    float *hidden, *logits;   /* rows kept by the last decode */
    size_t n_rows, room_rows;
    tiny_adapter *adapters;
    size_t n_adapters;
    int adapter;              /* in force, or -1 */
    uint64_t fingerprint;     /* of the file */
};

int tiny_config_read(tiny_config *config, const tiny_gguf *file, size_t n_vocab,
                     engine_error *error);

/* All of these leave something that their counterpart can free, after a refusal too. */
int tiny_weights_read(tiny_weights *weights, const tiny_config *config, const tiny_gguf *file,
                      engine_error *error);
void tiny_weights_free(tiny_weights *weights);
/* Slots by number: how many, the tensor's name with a suffix, the shape. */
size_t tiny_slots(const tiny_config *config);
void tiny_slot_name(const tiny_config *config, size_t slot, const char *suffix, char name[64]);
void tiny_slot_shape(const tiny_config *config, size_t slot, size_t *n_in, size_t *n_out);
/* A tensor of this name and shape as a matrix; refused where missing, misshapen, not finite. */
int tiny_matrix_read(tiny_matrix *matrix, const tiny_gguf *file, const char *name, size_t n_in,
                     size_t n_out, engine_error *error);
int tiny_all_used(const tiny_gguf *file, engine_error *error);

bool tiny_cache_make(tiny_cache *cache, const tiny_config *config, size_t n_ctx);
void tiny_cache_free(tiny_cache *cache);
/* `rows` is the cache's keys or its values. */
static inline float *tiny_cache_row(float *rows, const engine_model *model, size_t layer,
                                    size_t position)
{
    return rows + (layer * model->cache.n_ctx + position) * model->config.kv_dim;
}
bool tiny_cut(engine_model *model, size_t n);
int tiny_erase(engine_model *model, size_t from, size_t to);
size_t tiny_state_size(engine_model *model, size_t n);
int tiny_state_save(engine_model *model, size_t n, uint8_t *to, size_t size);
int tiny_state_load(engine_model *model, size_t n, const uint8_t *from, size_t size);

bool tiny_scratch_make(tiny_scratch *scratch, const tiny_config *config,
                       const engine_options *options);
void tiny_scratch_free(tiny_scratch *scratch);
int tiny_decode(engine_model *model, const int32_t *tokens, const float *embeddings, size_t n,
                size_t position, engine_rows rows, const atomic_bool *stop, engine_error *error);
/* One layer over n <= TINY_BATCH vectors in scratch.x. */
void tiny_layer(engine_model *model, size_t layer, size_t n, size_t position);
/* y = matrix of the slot * x, with what the adapter in force adds. */
void tiny_project(engine_model *model, size_t slot, const float *x, size_t n, float *y);

int tiny_lora_load(engine_model *model, const char *path, float scale, engine_error *error);
int tiny_lora_load_memory(engine_model *model, const uint8_t *bytes, size_t size, float scale,
                          engine_error *error);
int tiny_lora_use(engine_model *model, int index);
void tiny_lora_free(engine_model *model);

/* As `open`, from bytes that need not stay (for tests). */
int tiny_open_memory(const uint8_t *bytes, size_t size, const engine_options *options,
                     engine_model **model, engine_error *error);

#endif

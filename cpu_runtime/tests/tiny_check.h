/* What the parts of tiny_check share. */
#ifndef RKLLM_CPU_TINY_CHECK_H
#define RKLLM_CPU_TINY_CHECK_H

#include "tiny/gguf.h"
#include "tiny/metadata.h"
#include "tiny/model.h"

enum { CONTEXT = 128, LONG = 70 };

extern const char *current; /* the model under test, for messages */

/* Counts, and prints what is not so. */
void check(bool good, const char *what, const char *model);
#define CHECK(condition) check((condition), #condition, current)

int decode(engine_model *model, const int32_t *tokens, size_t n, size_t position);
void some_tokens(const engine_model *model, int32_t *tokens, size_t n, int32_t seed);
float distance(const float *a, const float *b, size_t n);
float *copy_logits(const engine_model *model);
float logits_differ(const engine_model *model, const float *expected);

void check_matrices(void);

void check_text(const engine_model *model);
void check_long_text(const engine_model *model);
void check_merges(const engine_model *model);

void check_determinism(engine_model *model, engine_model *other);
void check_batches(engine_model *model, engine_model *other);
void check_embeddings(engine_model *model);
void check_limits(engine_model *model);
void check_stop(engine_model *model);
void check_lora(engine_model *model, const char *model_path, const char *adapter);

void check_erase_middle(engine_model *model, engine_model *other);
void check_erase(engine_model *model, engine_model *other);
void check_state(engine_model *model, engine_model *other, engine_model *stranger);

void check_refusals(const char *path, const char *adapter);

#endif

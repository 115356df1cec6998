/* RKLLM's structures of the release that this library is built for, read into the front's own. */
#ifndef RKLLM_CPU_ABI_H
#define RKLLM_CPU_ABI_H

#include "settings.h"

/* "1.3.0", and the release's whole sentence. */
extern const char abi_release[];
extern const char abi_about[];

RKLLMParam abi_default_param(void);

/* A copy, "" for NULL; *ok turns false when memory is short. */
char *abi_copy(const char *text, bool *ok);

/* Both copy what the pointers lead to, and return NULL or, in one sentence, why they refuse. */
const char *abi_read_param(const RKLLMParam *from, struct settings *to);

/* Arrays of more than n_ctx rows are counted but not copied: such a run can only fail, and the
 * number may be garbage. `input` is an array of n_batch; `infer` may be NULL. */
const char *abi_read_run(const RKLLMInput *input, const RKLLMInferParam *infer,
                         const struct settings *defaults, size_t n_embd, struct request *to);

#endif

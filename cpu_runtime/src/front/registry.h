/* Which handles are alive. A handle is a number that is never given twice, not an address, so a
 * destroyed one can neither fault nor meet a model that was loaded later. */
#ifndef RKLLM_CPU_REGISTRY_H
#define RKLLM_CPU_REGISTRY_H

#include "session.h"

/* NULL when memory is short. */
LLMHandle registry_add(struct session *session);

/* The session of a handle, which will not be freed before it is released; NULL for any other
 * value, after logging it with the function's name. */
struct session *registry_acquire(LLMHandle handle, const char *function);
void registry_release(struct session *session);

/* Take a handle out, stop its run, and wait until everybody has released it. The session is then
 * the caller's. NULL when the handle is not alive. */
struct session *registry_remove(LLMHandle handle);

#endif

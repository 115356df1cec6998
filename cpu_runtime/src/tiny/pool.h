/* Threads that share one computation. They sleep while there is none, and they never spin: on a
 * busy machine a thread that spins takes away the very processor that it waits for. */
#ifndef RKLLM_CPU_TINY_POOL_H
#define RKLLM_CPU_TINY_POOL_H

#include <stddef.h>

typedef struct tiny_pool tiny_pool;

/* Units [first, end) of some work; thread 0 is the caller's, all others are below n_threads. */
typedef void tiny_units(const void *work, size_t first, size_t end, size_t thread);

/* n_threads >= 1 counts the caller's. NULL, which computes on the caller's thread alone, for 1 and
 * where memory is short. The threads start with the first work that is worth it. */
tiny_pool *tiny_pool_make(size_t n_threads);
void tiny_pool_free(tiny_pool *pool); /* joins them; NULL is allowed */

/* Does all n_units of the work, and returns when the last one is done. `cost` of a unit is counted
 * in multiplications; what costs less than waking a thread stays on the caller's. One caller at a
 * time. In a process that was forked from the pool's, the caller does everything. */
void tiny_pool_do(tiny_pool *pool, size_t n_units, size_t cost, tiny_units *units,
                  const void *work);

#endif

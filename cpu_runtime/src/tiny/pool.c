#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Multiplications that take about as long as waking a thread twenty times. Tests have small models. */
#ifndef TINY_WORTH_A_THREAD
#define TINY_WORTH_A_THREAD (1 << 19)
#endif

enum {
    /* More parts than threads: one that starts late, or loses its processor, takes fewer. */
    PARTS_PER_THREAD = 4,
};

typedef struct {
    tiny_pool *pool;
    size_t number;
    pthread_t thread;
} worker;

struct tiny_pool {
    pid_t process; /* that the threads are in */
    size_t n_threads, n_workers;
    bool tried; /* to start them */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_work, is_done;
    bool closing;
    tiny_units *units;
    const void *work;
    size_t n_units, n_parts, n_taken, n_done;

    worker workers[];
};

tiny_pool *tiny_pool_make(size_t n_threads)
{
    if (n_threads <= 1)
        return NULL;
    tiny_pool *pool = calloc(1, sizeof *pool + (n_threads - 1) * sizeof *pool->workers);
    if (!pool)
        return NULL;
    pool->process = getpid();
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    pthread_cond_init(&pool->is_done, NULL);
    return pool;
}

/* The next part, by the thread of this number. The lock is held before and after. */
static void do_part(tiny_pool *pool, size_t number)
{
    const size_t part = pool->n_taken++, n = pool->n_units, n_parts = pool->n_parts;
    tiny_units *units = pool->units;
    const void *work = pool->work;
    pthread_mutex_unlock(&pool->lock);
    units(work, n * part / n_parts, n * (part + 1) / n_parts, number);
    pthread_mutex_lock(&pool->lock);
    if (++pool->n_done == n_parts)
        pthread_cond_signal(&pool->is_done);
}

static void *serve(void *argument)
{
    const worker *self = argument;
    tiny_pool *pool = self->pool;
    pthread_mutex_lock(&pool->lock);
    while (!pool->closing) {
        if (pool->n_taken < pool->n_parts)
            do_part(pool, self->number);
        else
            pthread_cond_wait(&pool->has_work, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* As many as the system grants. Signals are for the program's own threads. */
static void start(tiny_pool *pool)
{
    sigset_t all, before;
    pool->tried = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->n_workers + 1 < pool->n_threads) {
        worker *new = &pool->workers[pool->n_workers];
        *new = (worker){.pool = pool, .number = pool->n_workers + 1};
        if (pthread_create(&new->thread, NULL, serve, new) != 0)
            break;
        pool->n_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void tiny_pool_free(tiny_pool *pool)
{
    if (!pool)
        return;
    if (pool->process == getpid()) {
        pthread_mutex_lock(&pool->lock);
        pool->closing = true;
        pthread_cond_broadcast(&pool->has_work);
        pthread_mutex_unlock(&pool->lock);
        for (size_t i = 0; i < pool->n_workers; i++)
            pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->has_work);
        pthread_cond_destroy(&pool->is_done);
        pthread_mutex_destroy(&pool->lock);
    }
    free(pool);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void share(tiny_pool *pool, size_t n_units, tiny_units *units, const void *work)
{
    pthread_mutex_lock(&pool->lock);
    pool->units = units;
    pool->work = work;
    pool->n_units = n_units;
    pool->n_parts = smaller(n_units, PARTS_PER_THREAD * (pool->n_workers + 1));
    pool->n_taken = pool->n_done = 0;
    pthread_cond_broadcast(&pool->has_work);
    while (pool->n_taken < pool->n_parts)
        do_part(pool, 0);
    while (pool->n_done < pool->n_parts)
        pthread_cond_wait(&pool->is_done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void tiny_pool_do(tiny_pool *pool, size_t n_units, size_t cost, tiny_units *units,
                  const void *work)
{
    const bool worth = pool && n_units > 1 && cost > TINY_WORTH_A_THREAD / n_units;
    if (worth && pool->process == getpid()) {
        if (!pool->tried)
            start(pool);
        share(pool, n_units, units, work);
    } else {
        units(work, 0, n_units, 0);
    }
}

/* Inner loops compiled once per generation of x86-64 processors; the loader takes the best one that
 * the machine can run. With -ffp-contract=off wider vectors compute the very same numbers, so a
 * model still says the same on every machine. */
#ifndef RKLLM_CPU_TINY_CLONES_H
#define RKLLM_CPU_TINY_CLONES_H

#include <stddef.h> /* __GLIBC__, where it is defined */

/* The loader chooses before the sanitizers are ready. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TINY_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TINY_CLONES
#endif

#endif

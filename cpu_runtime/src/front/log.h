/* Lines on stderr, in the form that Rockchip's library uses: "I rkllm: ...". */
#ifndef RKLLM_CPU_LOG_H
#define RKLLM_CPU_LOG_H

enum {
    LOG_QUIET = 0, /* what an init says, warnings and errors */
    LOG_PERF = 1,  /* the figures of every run too */
    LOG_CACHE = 2, /* and how full the cache is */
};

/* The value of RKLLM_LOG_LEVEL, LOG_QUIET where it is missing or no number. */
int log_level(void);

/* One line each; the text needs no newline. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void write_line(char severity, const char *format, va_list arguments) {
    char line[768];
    vsnprintf(line, sizeof line, format, arguments);
    /* One call, so that lines of two threads do not mix. */
    fprintf(stderr, "%c rkllm: %s\n", severity, line);
}

int log_level(void) {
    const char *value = getenv("RKLLM_LOG_LEVEL");
    return value ? (int)strtol(value, NULL, 10) : LOG_QUIET;
}

void log_info(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line('I', format, arguments);
    va_end(arguments);
}

void log_warning(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line('W', format, arguments);
    va_end(arguments);
}

void log_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line('E', format, arguments);
    va_end(arguments);
}

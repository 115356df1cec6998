#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int tiny_refuse(engine_error *error, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return ENGINE_REFUSED;
}

int tiny_no_memory(engine_error *error)
{
    return tiny_refuse(error, "there is not enough memory for this model");
}

const char *tiny_shown(tiny_text name, char shown[TINY_NAME])
{
    size_t length = name.length < TINY_NAME - 1 ? name.length : TINY_NAME - 1;
    for (size_t i = 0; i < length; i++)
        shown[i] = name.at[i] >= ' ' && name.at[i] <= '~' ? name.at[i] : '?';
    shown[length] = '\0';
    return shown;
}

bool tiny_multiply(size_t a, size_t b, size_t *product)
{
    if (b && a > SIZE_MAX / b)
        return false;
    *product = a * b;
    return true;
}

float *tiny_floats(size_t count)
{
    enum { LINE = 64 };
    if (count > (SIZE_MAX - LINE) / sizeof(float))
        return NULL;
    size_t bytes = (count * sizeof(float) + LINE - 1) / LINE * LINE;
    return aligned_alloc(LINE, bytes ? bytes : LINE);
}

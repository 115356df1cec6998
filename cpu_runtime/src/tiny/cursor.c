#include "cursor.h"

bool tiny_take(tiny_cursor *cursor, size_t size, const uint8_t **bytes)
{
    if (size > cursor->left)
        return false;
    *bytes = cursor->at;
    cursor->at += size;
    cursor->left -= size;
    return true;
}

bool tiny_take_u32(tiny_cursor *cursor, uint32_t *value)
{
    const uint8_t *bytes;
    if (!tiny_take(cursor, 4, &bytes))
        return false;
    *value = tiny_u32(bytes);
    return true;
}

bool tiny_take_u64(tiny_cursor *cursor, uint64_t *value)
{
    const uint8_t *bytes;
    if (!tiny_take(cursor, 8, &bytes))
        return false;
    *value = tiny_u64(bytes);
    return true;
}

bool tiny_take_text(tiny_cursor *cursor, tiny_text *text)
{
    uint64_t length;
    const uint8_t *bytes;
    if (!tiny_take_u64(cursor, &length) || length > cursor->left)
        return false;
    text->length = (size_t)length;
    if (!tiny_take(cursor, text->length, &bytes))
        return false;
    text->at = (const char *)bytes;
    return true;
}

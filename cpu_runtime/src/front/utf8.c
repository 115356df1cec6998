#include "utf8.h"

#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* How many bytes the character has that begins with `lead`; 0: none begins so. */
static size_t character_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return 2;
    if (lead >= 0xE0 && lead <= 0xEF) return 3;
    if (lead >= 0xF0 && lead <= 0xF4) return 4;
    return 0;
}

/* May `byte` come after what is held? The second byte is where overlong forms, surrogates and
 * what lies beyond U+10FFFF show. */
static bool continues(const struct utf8_hold *hold, unsigned char byte) {
    if ((byte & 0xC0) != 0x80) return false;
    if (hold->length != 1) return true;
    switch (hold->bytes[0]) {
        case 0xE0: return byte >= 0xA0;
        case 0xED: return byte <= 0x9F;
        case 0xF0: return byte >= 0x90;
        case 0xF4: return byte <= 0x8F;
        default: return true;
    }
}

static size_t put(char *out, const void *bytes, size_t length) {
    memcpy(out, bytes, length);
    return length;
}

static size_t push_byte(struct utf8_hold *hold, unsigned char byte, char *out) {
    size_t written = 0;
    if (hold->length > 0 && !continues(hold, byte)) {
        hold->length = 0;
        written = put(out, REPLACEMENT, 3);
    }
    if (hold->length == 0 && character_length(byte) == 0) {
        return written + put(out + written, REPLACEMENT, 3);
    }
    hold->bytes[hold->length++] = byte;
    if (hold->length == character_length(hold->bytes[0])) {
        written += put(out + written, hold->bytes, hold->length);
        hold->length = 0;
    }
    return written;
}

size_t utf8_push(struct utf8_hold *hold, const char *bytes, size_t length, char *out) {
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        written += push_byte(hold, (unsigned char)bytes[i], out + written);
    }
    out[written] = '\0';
    return written;
}

size_t utf8_flush(struct utf8_hold *hold, char *out) {
    size_t written = hold->length > 0 ? put(out, REPLACEMENT, 3) : 0;
    hold->length = 0;
    out[written] = '\0';
    return written;
}

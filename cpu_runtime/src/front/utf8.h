/* Whole characters out of tokens that may hold half of one. */
#ifndef RKLLM_CPU_UTF8_H
#define RKLLM_CPU_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of a character that has begun but not ended. All zero to start with. */
struct utf8_hold {
    unsigned char bytes[4];
    size_t length;
};

/* Room that `out` needs for `length` bytes: a byte may turn into U+FFFD, which takes three. */
#define UTF8_ROOM(length) (3 * ((length) + 4) + 1)

/* Add bytes. Writes the characters that are whole now, with U+FFFD for what can become none, and a
 * NUL. Returns the number of bytes written, the NUL not counted. */
size_t utf8_push(struct utf8_hold *hold, const char *bytes, size_t length, char *out);

/* Nothing more will come: what is held becomes one U+FFFD. */
size_t utf8_flush(struct utf8_hold *hold, char *out);

#endif

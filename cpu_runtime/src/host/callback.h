/* Copies what the library calls back with. */
#ifndef HOST_CALLBACK_H
#define HOST_CALLBACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "host.h"

/* What a callback returns to the library. */
enum { CALLBACK_CONTINUE = 0, CALLBACK_PAUSE = 1, CALLBACK_RELEASE = 2 };

/* Sends parts, whole, one sender at a time. */
typedef void (*send_parts)(struct iovec *parts, int n);

/* Sends a callback's frame: the structures, texts and arrays of its rows.
 *
 * send: is called once, with all parts.
 */
void callback_send(const struct result_layout *layout, const unsigned char *results, uint32_t rows,
                   uint64_t userdata, int state, send_parts send);

/* True if a result points to hidden states or logits. */
bool callback_has_arrays(const struct result_layout *layout, const unsigned char *result);

#endif

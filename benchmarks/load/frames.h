/* Where one answer ends and the next begins, in the framings that the measured servers speak. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum framing { NETSTRINGS, LINES, HEADERS, HTTP };

/* A message on the wire. The payload lies within. */
struct frame {
    size_t begin, end; /* of the payload */
    size_t whole;      /* bytes of payload and framing; 0: not complete */
};

/* Look at what begins a buffer. Ends the program if it is no frame. */
struct frame frame_at(enum framing framing, const char *data, size_t size);

/* Put a payload into its framing; returns the bytes written. There is room for FRAME_ROOM more. */
#define FRAME_ROOM 128
size_t frame_put(enum framing framing, char *out, const char *payload, size_t size);

/* By name; ends the program for an unknown one. */
enum framing framing_named(const char *name);

#endif

#include "callback.h"

#include <string.h>

#include "frames.h"

static const void *pointer_at(const unsigned char *result, uint32_t at) {
    const void *pointer;
    memcpy(&pointer, result + at, sizeof pointer);
    return pointer;
}

/* The bytes of an array; 0 for more than a frame may have: the daemon then says so. */
static uint64_t array_bytes(const unsigned char *result, uint32_t at, uint32_t counts_at) {
    int32_t counts[2];
    if (at == 0 || !pointer_at(result, at)) return 0;
    memcpy(counts, result + counts_at, sizeof counts);
    if (counts[0] <= 0 || counts[1] <= 0) return 0;
    uint64_t numbers = (uint64_t)counts[0] * (uint64_t)counts[1];
    return numbers > FRAME_MAX_BODY / sizeof(float) ? 0 : numbers * sizeof(float);
}

bool callback_has_arrays(const struct result_layout *layout, const unsigned char *result) {
    return (layout->hidden_states && pointer_at(result, layout->hidden_states)) ||
           (layout->logits && pointer_at(result, layout->logits));
}

static struct frame_row row_of(const struct result_layout *layout, const unsigned char *result) {
    const char *text = pointer_at(result, layout->text);
    size_t length = text ? strnlen(text, FRAME_MAX_TEXT + 1) : 0;
    if (length > FRAME_MAX_TEXT) host_fail("a result", "its text has more than 16 MiB");
    return (struct frame_row){
        .text = text ? length : FRAME_NO_TEXT,
        .hidden_states = array_bytes(result, layout->hidden_states, layout->hidden_counts),
        .logits = array_bytes(result, layout->logits, layout->logits_counts),
    };
}

static uint64_t bytes_without_arrays(const struct result_layout *layout,
                                     const struct frame_row *row) {
    uint64_t text = row->text == FRAME_NO_TEXT ? 0 : row->text;
    return sizeof *row + layout->size + text;
}

/* Adds a row's arrays to a frame's size, or leaves them out if they do not fit. */
static uint64_t add_arrays(uint64_t size, struct frame_row *row) {
    uint64_t with = size + row->hidden_states + row->logits;
    if (with <= FRAME_MAX_BODY) return with;
    row->hidden_states = row->logits = 0;
    return size;
}

static struct iovec part(const void *data, uint64_t size) {
    union {
        const void *given;
        void *taken; /* only read */
    } either = {.given = data};
    return (struct iovec){.iov_base = either.taken, .iov_len = (size_t)size};
}

enum { PARTS = 5 };

static void add_row(const struct result_layout *layout, const unsigned char *result,
                    const struct frame_row *row, struct iovec *parts) {
    parts[0] = part(row, sizeof *row);
    parts[1] = part(result, layout->size);
    parts[2] = part(pointer_at(result, layout->text), row->text == FRAME_NO_TEXT ? 0 : row->text);
    parts[3] = part(layout->hidden_states ? pointer_at(result, layout->hidden_states) : NULL,
                    row->hidden_states);
    parts[4] = part(layout->logits ? pointer_at(result, layout->logits) : NULL, row->logits);
}

void callback_send(const struct result_layout *layout, const unsigned char *results, uint32_t rows,
                   uint64_t userdata, int state, send_parts send) {
    struct {
        struct frame_header header;
        struct frame_callback callback;
    } head = {{FRAME_CALLBACK, 0, 0, sizeof head.callback},
              {state, rows, userdata}};
    struct frame_row sizes[FRAME_MAX_ROWS];
    struct iovec parts[1 + PARTS * FRAME_MAX_ROWS] = {part(&head, sizeof head)};
    for (uint32_t i = 0; i < rows; i++) {
        sizes[i] = row_of(layout, results + (size_t)i * layout->size);
        head.header.size += bytes_without_arrays(layout, &sizes[i]);
    }
    for (uint32_t i = 0; i < rows; i++) {
        head.header.size = add_arrays(head.header.size, &sizes[i]);
        add_row(layout, results + (size_t)i * layout->size, &sizes[i], &parts[1 + PARTS * i]);
    }
    send(parts, (int)(1 + PARTS * rows));
}

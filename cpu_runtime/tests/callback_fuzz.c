/* Results before the host's sender: callback_fuzz SEED COUNT. What is sent is what a plain model
 * makes of the results. A pointer to an array that is not usual leads to no memory: none is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/rng.h"
#include "host/callback.h"
#include "host/frames.h"
#include "host_support.h"

enum { PLACES = 5, PARTS = 5, STEP = 190, LENGTH = 200, SIDE = 24, STATE = 3, USERDATA = 99 };
enum { GAP = 100000 }; /* about what the other parts of a frame take, in numbers */
#define NOWHERE ((void *)64)
_Static_assert(PLACES * (8 + STEP) + 7 <= RESULT_MAX_BYTES, "as the host demands");

/* What the library gives in a row. */
struct given {
    char letters[LENGTH], *text;
    void *arrays[2];
    uint64_t bytes[2]; /* 0: the counts are no array's */
};

static struct given given[FRAME_MAX_ROWS];
static float usual[FRAME_MAX_ROWS][SIDE * SIDE];
static struct result_layout layout;
static unsigned char *results;
static uint32_t rows;
static long frames, kept, left_out; /* frames; rows with their arrays; without */

void host_fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static uint32_t below(struct rng *random, uint32_t n) {
    return (uint32_t)(rng_next(random) * n);
}

/* Places in any order, with gaps. Often without arrays of a kind: 0 says so. */
static void make_layout(struct rng *random) {
    uint32_t places[PLACES], step = 8 + below(random, STEP);
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t other = below(random, i + 1);
        places[i] = places[other];
        places[other] = i * step;
    }
    layout = (struct result_layout){.text = places[0], .hidden_counts = places[1],
                                    .logits_counts = places[2], .size = PLACES * step + 7};
    if (below(random, 4)) layout.hidden_states = places[3];
    if (below(random, 4)) layout.logits = places[4];
}

static void make_text(struct rng *random, struct given *row) {
    for (uint32_t i = below(random, LENGTH); i > 0; i--)
        row->letters[i - 1] = (char)(1 + below(random, 255));
    row->text = below(random, 4) ? row->letters : NULL;
}

/* The counts are usual, nearly as many as a frame has, or no array's. */
static void make_array(struct rng *random, struct given *row, int which, int32_t *counts) {
    static const int32_t none[] = {0, -1, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 2; i++) counts[i] = 1 + (int32_t)below(random, SIDE);
    row->arrays[which] = NOWHERE;
    switch (below(random, 32)) {
    case 0: counts[1] = (INT32_MAX / 4 - (int32_t)below(random, GAP)) / counts[0]; break;
    case 1: for (int i = 0; i < 2; i++) counts[below(random, 2)] = none[below(random, 4)]; return;
    case 2: row->arrays[which] = NULL; return;
    default: row->arrays[which] = usual[below(random, FRAME_MAX_ROWS)];
    }
    row->bytes[which] = (uint64_t)counts[0] * (uint64_t)counts[1] * sizeof(float);
}

static void make_row(struct rng *random, struct given *row, unsigned char *result) {
    const uint32_t at[] = {layout.hidden_states, layout.logits};
    const uint32_t counts_at[] = {layout.hidden_counts, layout.logits_counts};
    memset(row, 0, sizeof *row);
    make_text(random, row);
    memset(result, (int)below(random, 256), layout.size);
    memcpy(result + layout.text, &row->text, sizeof row->text);
    for (int which = 0; which < 2; which++) {
        int32_t counts[2] = {SIDE, SIDE};
        if (at[which]) make_array(random, row, which, counts);
        if (at[which]) memcpy(result + at[which], &row->arrays[which], sizeof *row->arrays);
        memcpy(result + counts_at[which], counts, sizeof counts);
    }
    CHECK(callback_has_arrays(&layout, result) == (row->arrays[0] || row->arrays[1]));
}

static uint64_t length_of(const struct given *row) { return row->text ? strlen(row->text) : 0; }

static void check_part(const struct iovec *part, const void *data, uint64_t size) {
    CHECK(part->iov_len == size);
    if (size == 0 || part->iov_base == data) return;
    CHECK(data != NOWHERE && memcmp(part->iov_base, data, size) == 0);
}

/* The arrays of a row go with it if they fit beside what must be sent, and what has gone before. */
static void check_frame(struct iovec *parts, int n) {
    uint64_t size = sizeof(struct frame_callback);
    for (uint32_t i = 0; i < rows; i++)
        size += sizeof(struct frame_row) + layout.size + length_of(&given[i]);
    CHECK(n == 1 + PARTS * (int)rows);
    for (uint32_t i = 0; i < rows; i++) {
        const struct given *row = &given[i];
        const bool fits = size + row->bytes[0] + row->bytes[1] <= FRAME_MAX_BODY;
        const uint64_t hidden = fits ? row->bytes[0] : 0, logits = fits ? row->bytes[1] : 0;
        const uint64_t text = row->text ? length_of(row) : FRAME_NO_TEXT;
        const struct frame_row sizes = {text, hidden, logits};
        const struct iovec *part = parts + 1 + PARTS * i;
        check_part(&part[0], &sizes, sizeof sizes);
        check_part(&part[1], results + i * layout.size, layout.size);
        check_part(&part[2], row->text, length_of(row));
        check_part(&part[3], row->arrays[0], hidden);
        check_part(&part[4], row->arrays[1], logits);
        size += hidden + logits;
        kept += hidden + logits > 0;
        left_out += !fits;
    }
    const struct frame_header header = {FRAME_CALLBACK, 0, 0, size};
    const struct frame_callback callback = {STATE, rows, USERDATA};
    CHECK(parts->iov_len == sizeof header + sizeof callback && size <= FRAME_MAX_BODY);
    CHECK(memcmp(parts->iov_base, &header, sizeof header) == 0);
    CHECK(memcmp((char *)parts->iov_base + sizeof header, &callback, sizeof callback) == 0);
    frames++;
}

static void pass(struct rng *random) {
    make_layout(random);
    rows = below(random, FRAME_MAX_ROWS + 1);
    results = malloc(rows * layout.size); /* no byte behind them is read */
    for (uint32_t i = 0; i < rows; i++) make_row(random, &given[i], results + i * layout.size);
    callback_send(&layout, results, rows, USERDATA, STATE, check_frame);
    free(results);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long seed = atol(argv[1]), count = atol(argv[2]);
    for (int i = 0; i < FRAME_MAX_ROWS; i++) memset(usual[i], i, sizeof usual[i]);
    for (long i = 0; i < count; i++) {
        struct rng random;
        rng_seed(&random, (uint64_t)(seed + i));
        pass(&random);
    }
    printf("%ld callbacks, %ld rows with arrays, %ld without theirs\n", count, kept, left_out);
    return frames == count && kept > 0 && left_out > 0 ? 0 : 1;
}

/* Byte-pair merging, best score first.
 *
 * The text starts as a chain of characters. A heap holds the pairs of neighbours that together are
 * a token; the best pair merges, and its new neighbours may add pairs. Each merge takes a symbol
 * away and adds two pairs at most, so that the work is n log n.
 */
#include "vocab.h"

#include <stdlib.h>

typedef struct {
    int32_t previous, next; /* -1 at the ends */
    uint32_t start, length; /* length 0: merged into the one before */
} symbol;

typedef struct {
    float score;
    int32_t left, right;
    uint32_t length;        /* of both together; if it has changed, the pair is out of date */
} pair;

typedef struct {
    const tiny_vocab *vocab;
    tiny_text text;
    symbol *symbols;
    size_t n_symbols;
    pair *heap;             /* room for 3 per symbol: one each at first, two more per merge */
    size_t n_heap;
} merger;

static bool before(const pair *a, const pair *b)
{
    return a->score > b->score || (!(a->score < b->score) && a->left < b->left);
}

static void push(merger *m, pair new)
{
    size_t at = m->n_heap++;
    while (at && before(&new, &m->heap[(at - 1) / 2])) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = new;
}

static pair pop(merger *m)
{
    pair top = m->heap[0], last = m->heap[--m->n_heap];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m->n_heap)
            break;
        if (child + 1 < m->n_heap && before(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!before(&m->heap[child], &last))
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

static void consider(merger *m, int32_t left, int32_t right)
{
    if (left < 0 || right < 0)
        return;
    const symbol *a = &m->symbols[left], *b = &m->symbols[right];
    tiny_text text = {m->text.at + a->start, a->length + b->length};
    int32_t token = tiny_index_find(&m->vocab->mergers, m->vocab->tokens, text);
    if (token >= 0)
        push(m, (pair){m->vocab->tokens[token].score, left, right, a->length + b->length});
}

/* Bytes of the UTF-8 character at `at`; 1 for anything that is not well-formed enough. */
static uint32_t character(tiny_text text, size_t at)
{
    uint8_t lead = (uint8_t)text.at[at];
    uint32_t length = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
    if (length > text.length - at)
        return 1;
    for (uint32_t i = 1; i < length; i++)
        if ((text.at[at + i] & 0xc0) != 0x80)
            return 1;
    return length;
}

static void split(merger *m)
{
    uint32_t at = 0;
    while (at < m->text.length) {
        int32_t index = (int32_t)m->n_symbols++;
        uint32_t length = character(m->text, at);
        m->symbols[index] = (symbol){index - 1, index + 1, at, length};
        at += length;
    }
    m->symbols[m->n_symbols - 1].next = -1;
}

static void merge_all(merger *m)
{
    for (size_t i = 1; i < m->n_symbols; i++)
        consider(m, (int32_t)i - 1, (int32_t)i);
    while (m->n_heap) {
        pair best = pop(m);
        symbol *left = &m->symbols[best.left], *right = &m->symbols[best.right];
        if (!left->length || !right->length || left->length + right->length != best.length)
            continue;
        left->length = best.length;
        right->length = 0;
        left->next = right->next;
        if (left->next >= 0)
            m->symbols[left->next].previous = best.left;
        consider(m, left->previous, best.left);
        consider(m, best.left, left->next);
    }
}

static void put_bytes(const tiny_vocab *vocab, tiny_text text, tiny_output *output)
{
    for (size_t i = 0; i < text.length; i++) {
        int32_t token = vocab->bytes[(uint8_t)text.at[i]];
        if (token < 0)
            token = vocab->unknown;
        if (token >= 0)
            tiny_put(output, token);
    }
}

static void put_all(const merger *m, tiny_output *output)
{
    for (int32_t i = 0; i >= 0; i = m->symbols[i].next) {
        tiny_text text = {m->text.at + m->symbols[i].start, m->symbols[i].length};
        int32_t token = tiny_index_find(&m->vocab->mergers, m->vocab->tokens, text);
        if (token >= 0)
            tiny_put(output, token);
        else
            put_bytes(m->vocab, text, output);
    }
}

bool tiny_merge(const tiny_vocab *vocab, tiny_text text, tiny_output *output)
{
    merger m = {.vocab = vocab, .text = text};
    m.symbols = calloc(text.length, sizeof *m.symbols);
    m.heap = calloc(3 * text.length, sizeof *m.heap);
    bool good = m.symbols && m.heap;
    if (good) {
        split(&m);
        merge_all(&m);
        put_all(&m, output);
    }
    free(m.symbols);
    free(m.heap);
    return good;
}

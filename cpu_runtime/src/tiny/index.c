/* Tokens by text, in a sorted array: no input makes a lookup slow, as a hash table's worst would. */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    tiny_text text;
    int32_t id;
} entry;

static int compare_texts(tiny_text a, tiny_text b)
{
    int order = memcmp(a.at, b.at, a.length < b.length ? a.length : b.length);
    if (order)
        return order;
    return (a.length > b.length) - (a.length < b.length);
}

static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    int order = compare_texts(a->text, b->text);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static size_t collect(const tiny_vocab *vocab, unsigned kinds, entry *entries)
{
    size_t count = 0;
    for (size_t i = 0; i < vocab->count; i++) {
        const tiny_token *token = &vocab->tokens[i];
        if (kinds >> token->kind & 1u && token->text.length)
            entries[count++] = (entry){token->text, (int32_t)i};
    }
    return count;
}

static void fill(tiny_index *index, const entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tiny_text text = entries[i].text;
        /* Of tokens with the same text the first is the one that is found. */
        if (i && compare_texts(entries[i - 1].text, text) == 0)
            continue;
        index->ids[index->count++] = entries[i].id;
        index->begins[(uint8_t)text.at[0]] = true;
        if (text.length > index->longest)
            index->longest = text.length;
    }
}

int tiny_index_build(tiny_index *index, const tiny_vocab *vocab, unsigned kinds)
{
    entry *entries = calloc(vocab->count + 1, sizeof *entries);
    index->ids = calloc(vocab->count + 1, sizeof *index->ids);
    if (entries && index->ids) {
        size_t count = collect(vocab, kinds, entries);
        qsort(entries, count, sizeof *entries, compare_entries);
        fill(index, entries, count);
    }
    int result = entries && index->ids ? ENGINE_OK : ENGINE_REFUSED;
    free(entries);
    return result;
}

int32_t tiny_index_find(const tiny_index *index, const tiny_token *tokens, tiny_text text)
{
    if (text.length > index->longest)
        return -1;
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_texts(tokens[index->ids[middle]].text, text);
        if (order == 0)
            return index->ids[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* The byte at `depth`, or -1 where the text has ended: it sorts before all bytes. */
static int byte_at(tiny_text text, size_t depth)
{
    return depth < text.length ? (uint8_t)text.at[depth] : -1;
}

/* The first entry in [low, high) whose byte at `depth` is not below `byte`. */
static size_t first_from(const tiny_index *index, const tiny_token *tokens, size_t low,
                         size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (byte_at(tokens[index->ids[middle]].text, depth) < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Narrows the range of entries byte by byte, as a walk down a trie would. */
int32_t tiny_index_prefix(const tiny_index *index, const tiny_token *tokens, tiny_text text)
{
    int32_t found = -1;
    size_t low = 0, high = index->count;
    if (!text.length || !index->begins[(uint8_t)text.at[0]])
        return -1;
    for (size_t depth = 0; depth < text.length && low < high; depth++) {
        int byte = byte_at(text, depth);
        low = first_from(index, tokens, low, high, depth, byte);
        high = first_from(index, tokens, low, high, depth, byte + 1);
        if (low < high && tokens[index->ids[low]].text.length == depth + 1)
            found = index->ids[low];
    }
    return found;
}

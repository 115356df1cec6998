/* Splits a text at the tokens that are found whole and hands the rest to the merger. */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 1 << 26 }; /* bytes; the merger takes 64 times as much memory */

/* Each space becomes U+2581, as the tokens have it; the caller frees. NULL when memory is short. */
static char *mark_spaces(const tiny_vocab *vocab, tiny_text text, size_t *length)
{
    static const char mark[] = "\xe2\x96\x81";
    char *marked = malloc(3 * text.length + 3);
    size_t n = 0;
    if (!marked)
        return NULL;
    if (vocab->add_space_prefix) {
        memcpy(marked, mark, 3);
        n = 3;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == ' ') {
            memcpy(marked + n, mark, 3);
            n += 3;
        } else {
            marked[n++] = text.at[i];
        }
    }
    *length = n;
    return marked;
}

static bool put_plain(const tiny_vocab *vocab, tiny_text text, tiny_output *output)
{
    if (!text.length)
        return true;
    tiny_text marked;
    char *bytes = mark_spaces(vocab, text, &marked.length);
    marked.at = bytes;
    bool good = bytes && tiny_merge(vocab, marked, output);
    free(bytes);
    return good;
}

int64_t tiny_tokenize(const tiny_vocab *vocab, tiny_text text, bool special, int32_t *tokens,
                      size_t capacity)
{
    const tiny_index *whole = special ? &vocab->special : &vocab->user;
    tiny_output output = {tokens, capacity, 0};
    size_t plain = 0, at = 0;
    if (text.length > MOST_TEXT)
        return ENGINE_REFUSED;
    while (at < text.length) {
        tiny_text rest = {text.at + at, text.length - at};
        int32_t token = tiny_index_prefix(whole, vocab->tokens, rest);
        if (token < 0) {
            at++;
            continue;
        }
        if (!put_plain(vocab, (tiny_text){text.at + plain, at - plain}, &output))
            return ENGINE_REFUSED;
        tiny_put(&output, token);
        plain = at += vocab->tokens[token].text.length;
    }
    if (!put_plain(vocab, (tiny_text){text.at + plain, at - plain}, &output))
        return ENGINE_REFUSED;
    return (int64_t)output.count;
}

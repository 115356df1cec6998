/* Reads the vocabulary out of a GGUF file. */
#include "vocab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "metadata.h"

enum { MOST_TOKENS = 1 << 20 };
static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */

static int find_array(const tiny_gguf *file, const char *key, uint32_t element, size_t count,
                      const tiny_kv **kv, engine_error *error)
{
    *kv = tiny_find(file, key);
    if (!*kv)
        return tiny_refuse(error, "the key %s is missing", key);
    if ((*kv)->type != GGUF_ARRAY || (*kv)->element != element)
        return tiny_refuse(error, "the key %s has the wrong type", key);
    if (count && (*kv)->count != count)
        return tiny_refuse(error, "the key %s has not one entry per token", key);
    return ENGINE_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" -> 10; -1 for anything else. */
static int byte_of(tiny_text text)
{
    if (text.length != 6 || memcmp(text.at, "<0x", 3) != 0 || text.at[5] != '>')
        return -1;
    int high = hex_digit(text.at[3]), low = hex_digit(text.at[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static size_t unmark(tiny_text text, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < text.length;) {
        if (text.length - i >= 3 && memcmp(text.at + i, space_mark, 3) == 0) {
            to[n++] = ' ';
            i += 3;
        } else {
            to[n++] = text.at[i++];
        }
    }
    return n;
}

/* Copies a token's text into the arena and works out its piece. Returns what the arena has left
 * to be filled. */
static char *set_texts(tiny_vocab *vocab, size_t id, tiny_text text, char *arena)
{
    tiny_token *token = &vocab->tokens[id];
    memcpy(arena, text.at, text.length);
    token->text = (tiny_text){arena, text.length};
    token->piece = token->text;
    arena += text.length;
    if (token->kind == KIND_BYTE) {
        int byte = byte_of(text);
        *arena = (char)(byte < 0 ? '?' : byte);
        token->piece = (tiny_text){arena++, 1};
        if (byte >= 0 && vocab->bytes[byte] < 0)
            vocab->bytes[byte] = (int32_t)id;
    } else if (token->kind == KIND_NORMAL || token->kind == KIND_UNUSED) {
        token->piece = (tiny_text){arena, unmark(text, arena)};
        arena += token->piece.length;
    }
    return arena;
}

static int read_kinds(tiny_vocab *vocab, const tiny_gguf *file, engine_error *error)
{
    const tiny_kv *kinds, *scores;
    int result = find_array(file, "tokenizer.ggml.token_type", GGUF_I32, vocab->count, &kinds,
                            error);
    if (result == ENGINE_OK)
        result = find_array(file, "tokenizer.ggml.scores", GGUF_F32, vocab->count, &scores, error);
    if (result != ENGINE_OK)
        return result;
    for (size_t i = 0; i < vocab->count; i++) {
        uint32_t kind = tiny_u32(kinds->value + 4 * i);
        float score = tiny_f32(scores->value + 4 * i);
        if (kind < KIND_NORMAL || kind > KIND_BYTE)
            return tiny_refuse(error, "the token %zu is of a kind that is not known", i);
        if (isnan(score))
            return tiny_refuse(error, "the score of token %zu is not a number", i);
        vocab->tokens[i].kind = (uint8_t)kind;
        vocab->tokens[i].score = score;
    }
    return ENGINE_OK;
}

static int read_tokens(tiny_vocab *vocab, const tiny_gguf *file, engine_error *error)
{
    const tiny_kv *texts;
    int result = find_array(file, "tokenizer.ggml.tokens", GGUF_STRING, 0, &texts, error);
    if (result != ENGINE_OK)
        return result;
    if (!texts->count || texts->count > MOST_TOKENS)
        return tiny_refuse(error, "the vocabulary has an impossible number of tokens");
    vocab->count = texts->count;
    vocab->tokens = calloc(vocab->count, sizeof *vocab->tokens);
    /* Per token its text and a piece that is no longer, or one byte. */
    vocab->arena = malloc(2 * texts->size + vocab->count);
    if (!vocab->tokens || !vocab->arena)
        return tiny_no_memory(error);
    result = read_kinds(vocab, file, error);
    if (result != ENGINE_OK)
        return result;
    tiny_cursor cursor = {texts->value, texts->size};
    char *arena = vocab->arena;
    tiny_text text;
    for (size_t i = 0; i < vocab->count && tiny_take_text(&cursor, &text); i++)
        arena = set_texts(vocab, i, text, arena);
    return ENGINE_OK;
}

static int read_id(const tiny_vocab *vocab, const tiny_gguf *file, const char *key, int32_t *id,
                   engine_error *error)
{
    size_t value = SIZE_MAX;
    int result = tiny_get_size(file, key, &value, error);
    if (result != ENGINE_OK)
        return result;
    if (value != SIZE_MAX && value >= vocab->count)
        return tiny_refuse(error, "the key %s names no token of the vocabulary", key);
    *id = value == SIZE_MAX ? -1 : (int32_t)value;
    return ENGINE_OK;
}

static int read_settings(tiny_vocab *vocab, const tiny_gguf *file, engine_error *error)
{
    tiny_text model = {"", 0};
    if (tiny_get_text(file, "tokenizer.ggml.model", &model, error) != ENGINE_OK)
        return ENGINE_REFUSED;
    if (!tiny_text_is(model, "llama"))
        return tiny_refuse(error, "the tokenizer is of a kind other than llama (SentencePiece)");
    vocab->add_bos = vocab->add_space_prefix = true;
    bool good =
        tiny_get_bool(file, "tokenizer.ggml.add_bos_token", &vocab->add_bos, error) == 0 &&
        tiny_get_bool(file, "tokenizer.ggml.add_space_prefix", &vocab->add_space_prefix,
                      error) == 0 &&
        read_id(vocab, file, "tokenizer.ggml.bos_token_id", &vocab->bos, error) == 0 &&
        read_id(vocab, file, "tokenizer.ggml.eos_token_id", &vocab->eos, error) == 0 &&
        read_id(vocab, file, "tokenizer.ggml.eot_token_id", &vocab->eot, error) == 0 &&
        read_id(vocab, file, "tokenizer.ggml.unknown_token_id", &vocab->unknown, error) == 0;
    return good ? ENGINE_OK : ENGINE_REFUSED;
}

int tiny_vocab_read(tiny_vocab *vocab, const tiny_gguf *file, engine_error *error)
{
    for (size_t i = 0; i < 256; i++)
        vocab->bytes[i] = -1;
    int result = read_tokens(vocab, file, error);
    if (result == ENGINE_OK)
        result = read_settings(vocab, file, error);
    if (result != ENGINE_OK)
        return result;
    const unsigned user = 1u << KIND_USER_DEFINED;
    const unsigned control = 1u << KIND_CONTROL | 1u << KIND_UNKNOWN;
    if (tiny_index_build(&vocab->mergers, vocab, 1u << KIND_NORMAL | user) ||
        tiny_index_build(&vocab->user, vocab, user) ||
        tiny_index_build(&vocab->special, vocab, user | control))
        return tiny_no_memory(error);
    return ENGINE_OK;
}

void tiny_vocab_free(tiny_vocab *vocab)
{
    free(vocab->tokens);
    free(vocab->arena);
    free(vocab->mergers.ids);
    free(vocab->user.ids);
    free(vocab->special.ids);
    *vocab = (tiny_vocab){0};
}

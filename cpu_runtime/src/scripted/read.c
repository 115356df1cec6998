/* The words of one line of a script. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

bool reader_refuse(struct reader *reader, const char *expected) {
    snprintf(reader->error->text, sizeof reader->error->text, "line %zu of the script: expected %s",
             reader->line, expected);
    return false;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct reader *reader) {
    while (reader->at < reader->end && is_blank(*reader->at)) reader->at++;
}

bool reader_at_end(struct reader *reader) {
    skip_blanks(reader);
    return reader->at == reader->end || *reader->at == '#';
}

static bool take_word(struct reader *reader, const char *word, size_t length) {
    skip_blanks(reader);
    size_t left = (size_t)(reader->end - reader->at);
    if (left < length || memcmp(reader->at, word, length) != 0) return false;
    if (left > length && !is_blank(reader->at[length])) return false;
    reader->at += length;
    return true;
}

bool reader_take_words(struct reader *reader, const char *words) {
    const char *start = reader->at;
    while (*words) {
        size_t length = strcspn(words, " ");
        if (!take_word(reader, words, length)) {
            reader->at = start;
            return false;
        }
        words += length;
        words += strspn(words, " ");
    }
    return true;
}

bool reader_take_number(struct reader *reader, double *number) {
    enum { LONGEST = 15 };
    char digits[LONGEST + 1];
    size_t n = 0;
    skip_blanks(reader);
    while (n < LONGEST && reader->at + n < reader->end && strchr("-.0123456789", reader->at[n]) &&
           reader->at[n]) {
        digits[n] = reader->at[n];
        n++;
    }
    digits[n] = '\0';
    char *rest;
    *number = strtod(digits, &rest);
    bool whole = n > 0 && *rest == '\0' &&
                 (reader->at + n == reader->end || is_blank(reader->at[n]));
    if (whole) reader->at += n;
    return whole;
}

/* ---- Quoted text ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The byte that \xNN stands for; 0, which no text can hold, when it is none. */
static char take_hex(struct reader *reader) {
    if (reader->end - reader->at < 2) return '\0';
    int high = hex_digit(reader->at[0]), low = hex_digit(reader->at[1]);
    if (high < 0 || low < 0) return '\0';
    reader->at += 2;
    return (char)(high * 16 + low);
}

/* After a backslash; 0 when that is no escape. */
static char take_escape(struct reader *reader) {
    if (reader->at == reader->end) return '\0';
    switch (*reader->at++) {
        case 'n': return '\n';
        case 't': return '\t';
        case 'r': return '\r';
        case '"': return '"';
        case '\\': return '\\';
        case 'x': return take_hex(reader);
        default: return '\0';
    }
}

bool reader_take_text(struct reader *reader, char **text) {
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != '"') {
        return reader_refuse(reader, "a quoted text");
    }
    reader->at++;
    char *made = malloc((size_t)(reader->end - reader->at) + 1), *to = made;
    if (!made) return reader_refuse(reader, "more memory");
    while (reader->at < reader->end && *reader->at != '"') {
        char c = *reader->at++;
        if (c == '\\') c = take_escape(reader);
        if (c == '\0') {
            free(made);
            return reader_refuse(reader, "\\n, \\t, \\r, \\\", \\\\ or \\x01 to \\xff");
        }
        *to++ = c;
    }
    *to = '\0';
    if (reader->at == reader->end) {
        free(made);
        return reader_refuse(reader, "a closing quote");
    }
    reader->at++;
    *text = made;
    return true;
}

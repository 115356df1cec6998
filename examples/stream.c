/* Streams an answer in C: netstrings over the UNIX socket, with libc alone.
 * cc -std=c11 -O2 -o stream stream.c; ./stream MODEL PROMPT */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* ---- JSON: enough to find a member, and to read and write text ---- */

static const char *after_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

/* What comes after a value. The daemon writes no white space, and only valid JSON. */
static const char *after_value(const char *at)
{
    int depth = 0;
    do {
        if (*at == '"') {
            at = after_string(at);
        } else {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            at++;
        }
    } while (depth > 0 || (*at && !strchr(",}]", *at)));
    return at;
}

/* The value of a member of the object at hand, or NULL. */
static const char *member(const char *object, const char *name)
{
    size_t length = strlen(name);
    if (!object || *object != '{')
        return NULL;
    for (const char *key = object + 1; *key == '"';) {
        const char *value = after_string(key) + 1;
        if ((size_t)(value - key) == length + 3 && !memcmp(key + 1, name, length))
            return value;
        key = after_value(value);
        key += *key == ',';
    }
    return NULL;
}

/* The daemon escapes control characters, quotes and backslashes; the rest is UTF-8 already. */
static void print_string(FILE *out, const char *at)
{
    static const char letters[] = "bfnrt", controls[] = "\b\f\n\r\t";
    if (*at != '"') /* null */
        return;
    for (at++; *at != '"'; at++) {
        if (*at != '\\') {
            fputc(*at, out);
        } else if (*++at == 'u') {
            char digits[5] = {at[1], at[2], at[3], at[4], 0};
            fputc((int)strtol(digits, NULL, 16), out);
            at += 4;
        } else {
            const char *letter = strchr(letters, *at);
            fputc(letter ? controls[letter - letters] : *at, out);
        }
    }
}

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", *text);
        else
            fprintf(out, strchr("\"\\", *text) ? "\\%c" : "%c", *text);
    }
    fputc('"', out);
}

/* Is a value this text? */
static bool is_text(const char *value, const char *text)
{
    char *decoded = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&decoded, &length);
    if (value)
        print_string(out, value);
    fclose(out);
    bool is_same = !strcmp(decoded, text);
    free(decoded);
    return is_same;
}

/* ---- The connection ---- */

static FILE *connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (strlen(path) >= sizeof address.sun_path)
        fail("%s: the path is too long", path);
    strcpy(address.sun_path, path);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address)) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return fdopen(descriptor, "r");
}

/* Sends a request with one parameter, a structure; the value is that of its last field. Without a
 * structure there are no parameters. */
static void request(FILE *connection, const char *method, const char *structure, const char *value)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    fprintf(out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":[%s", method, structure);
    if (value) {
        write_string(out, value);
        fputc('}', out);
    }
    fputs("]}", out);
    fclose(out);
    if (dprintf(fileno(connection), "%zu:%s,", length, text) < 0)
        fail("The daemon has closed the connection.");
    free(text);
}

/* Reads one netstring: a response, of which the caller gets the result's place in *text. */
static const char *response(FILE *connection, char **text)
{
    size_t length;
    free(*text);
    *text = NULL;
    if (fscanf(connection, "%9zu:", &length) != 1 || !(*text = calloc(length + 1, 1)) ||
        fread(*text, 1, length, connection) != length || fgetc(connection) != ',')
        fail("The daemon has closed the connection.");
    const char *error = member(*text, "error");
    if (error) {
        print_string(stderr, member(error, "message"));
        fail("");
    }
    return member(*text, "result");
}

int main(int count, char **arguments)
{
    char *text = NULL;
    const char *path = getenv("RKLLM_UDS_PATH");
    if (count != 3)
        fail("usage: %s MODEL PROMPT", arguments[0]);
    FILE *connection = connect_to(path ? path : "/tmp/rkllm.sock");
    signal(SIGPIPE, SIG_IGN); /* a daemon that goes away is told of by what is written */
    /* Loading takes long and clears every history, so load only a model that is not loaded. */
    request(connection, "server.status", "", NULL);
    if (!is_text(member(response(connection, &text), "model_path"), arguments[1])) {
        request(connection, "rkllm.init", "{\"model_path\":", arguments[1]);
        response(connection, &text);
    }
    request(connection, "rkllm.run_async", "{\"role\":\"user\",\"prompt_input\":", arguments[2]);
    for (bool is_over = false; !is_over;) {
        const char *result = response(connection, &text);
        int state = atoi(member(result, "_callback_state"));
        if (state == 0)
            print_string(stdout, member(result, "text"));
        if (state == 3)
            fail("The run has failed.");
        is_over = state == 2;
        fflush(stdout);
    }
    putchar('\n');
    free(text);
    fclose(connection);
    return EXIT_SUCCESS;
}

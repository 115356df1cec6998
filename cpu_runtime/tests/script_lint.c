/* Do these scripts parse?  script_lint FILE... says what is wrong with those that do not. */
#include <stdio.h>

#include "scripted/script.h"

static bool parses(const char *path) {
    static char text[1 << 20];
    struct script script;
    engine_error error = {""};
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    bool ok = script_parse(&script, text, length, &error) == ENGINE_OK;
    if (ok) script_free(&script);
    if (!ok) printf("%s: %s\n", path, error.text);
    return ok;
}

int main(int n_arguments, char **arguments) {
    int failed = 0;
    for (int i = 1; i < n_arguments; i++) failed += !parses(arguments[i]);
    return failed > 0 || n_arguments < 2;
}

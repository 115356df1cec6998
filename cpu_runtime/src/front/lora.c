#include "lora.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find(const struct loras *loras, const char *name) {
    for (size_t i = 0; i < loras->n; i++) {
        if (loras->names[i] && strcmp(loras->names[i], name) == 0) return (int)i;
    }
    return -1;
}

/* Keep the name at the engine's index. */
static bool keep(struct loras *loras, size_t index, char *name) {
    char **grown = realloc(loras->names, (index + 1) * sizeof *grown);
    if (!grown) return false;
    for (size_t i = loras->n; i < index; i++) grown[i] = NULL;
    grown[index] = name;
    loras->names = grown;
    loras->n = index + 1;
    return true;
}

bool loras_load(struct loras *loras, const engine *with, engine_model *model, const char *name,
                const char *path, float scale, engine_error *error) {
    char *copy = strdup(name);
    if (find(loras, name) >= 0) {
        snprintf(error->text, sizeof error->text, "an adapter of this name is loaded already");
    } else if (!copy) {
        snprintf(error->text, sizeof error->text, "there is not enough memory");
    } else {
        int index = with->lora_load(model, path, scale, error);
        if (index >= 0 && keep(loras, (size_t)index, copy)) return true;
    }
    free(copy);
    return false;
}

const char *loras_use(const struct loras *loras, const engine *with, engine_model *model,
                      const char *name) {
    int index = name ? find(loras, name) : -1;
    if (name && index < 0) return "no adapter of this name is loaded";
    return with->lora_use(model, index) == ENGINE_OK ? NULL : "the adapter cannot be used";
}

void loras_free(struct loras *loras) {
    for (size_t i = 0; i < loras->n; i++) free(loras->names[i]);
    free(loras->names);
    *loras = (struct loras){0};
}

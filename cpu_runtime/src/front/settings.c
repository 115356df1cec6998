#include "settings.h"

#include <math.h>
#include <stdlib.h>

void settings_free(struct settings *settings) {
    free(settings->model_path);
    free(settings->image_start);
    free(settings->image_end);
    *settings = (struct settings){0};
}

void request_free(struct request *request) {
    free(request->role);
    free(request->text);
    free(request->tokens);
    free(request->embeddings);
    free(request->image_start);
    free(request->image_end);
    free(request->cache_path);
    free(request->lora);
    for (size_t i = 0; i < request->n_row_texts; i++) free(request->row_texts[i]);
    free(request->row_texts);
    *request = (struct request){0};
}

static bool between(float value, float low, float high) {
    return value >= low && value <= high; /* false for NaN too */
}

const char *sampling_fault(const struct sampling *how) {
    if (!between(how->top_p, 0, 1)) return "top_p is not between 0 and 1";
    if (!between(how->temperature, 0, 1e6f)) return "temperature is negative or not a number";
    if (!between(how->repeat_penalty, 0, 1e6f)) return "repeat_penalty is negative or not a number";
    if (!isfinite(how->frequency_penalty)) return "frequency_penalty is not a number";
    if (!isfinite(how->presence_penalty)) return "presence_penalty is not a number";
    if (how->mirostat < 0 || how->mirostat > 2) return "mirostat is not 0, 1 or 2";
    if (how->mirostat && !between(how->mirostat_tau, 0, 1e6f)) return "mirostat_tau is negative";
    if (how->mirostat && !between(how->mirostat_eta, 0, 1e6f)) return "mirostat_eta is negative";
    return NULL;
}

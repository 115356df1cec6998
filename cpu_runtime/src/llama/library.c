#include "library.h"

#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char REMEDY[] =
    "name one with --llama PATH or $RKLLM_LLAMA_LIBRARY, or run 'rkllm llama install'";
static const char MINIMUM[] = "b8179 of early 2026";

int llama_refuse(engine_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (error) vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return ENGINE_REFUSED;
}

/* ---- Its log: kept, not printed ---- */

enum { LEVEL_ERROR = 4 };
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char first_error[256];

static void keep_error(int level, const char *text, void *userdata) {
    (void)userdata;
    if (level != LEVEL_ERROR || !text || !*text) return;
    pthread_mutex_lock(&log_lock);
    if (!*first_error) {
        /* "function: what happened" + line break; the function says nothing to a reader. */
        const char *colon = strstr(text, ": ");
        bool named = colon && !memchr(text, ' ', (size_t)(colon - text));
        snprintf(first_error, sizeof first_error, "%s", named ? colon + 2 : text);
        first_error[strcspn(first_error, "\r\n")] = '\0';
    }
    pthread_mutex_unlock(&log_lock);
}

void libllama_forget_errors(void) {
    pthread_mutex_lock(&log_lock);
    *first_error = '\0';
    pthread_mutex_unlock(&log_lock);
}

void libllama_last_error(char *to, size_t room) {
    pthread_mutex_lock(&log_lock);
    snprintf(to, room, "%s", first_error);
    pthread_mutex_unlock(&log_lock);
}

/* ---- Opening ---- */

/* A function's address into a pointer to a function, as POSIX asks for it. */
static bool bind_call(void *handle, const char *name, void *call) {
    void *found = dlsym(handle, name);
    memcpy(call, &found, sizeof found);
    return found != NULL;
}

static const char *bind_all(void *handle, libllama *to) {
#define BIND(result, name, parameters) \
    if (!bind_call(handle, "llama_" #name, &to->name)) return "llama_" #name;
    LIBLLAMA_CALLS(BIND)
#undef BIND
    return NULL;
}

static void *open_handle(const char **asked) {
    const char *named = getenv("RKLLM_LLAMA_LIBRARY");
    *asked = named && *named ? named : "libllama.so";
    return dlopen(*asked, RTLD_NOW | RTLD_LOCAL);
}

static void find_path(libllama *library, const char *asked) {
    Dl_info info;
    void *address;
    memcpy(&address, &library->decode, sizeof address);
    bool found = dladdr(address, &info) && info.dli_fname;
    snprintf(library->path, sizeof library->path, "%s", found ? info.dli_fname : asked);
}

/* Processors' variants of its arithmetic may be files of their own beside it. */
static void load_parts(void *handle, const libllama *library) {
    void (*load)(const char *folder);
    char path[sizeof library->path];
    memcpy(path, library->path, sizeof path);
    if (bind_call(handle, "ggml_backend_load_all_from_path", &load)) load(dirname(path));
}

static void find_release(void *handle, libllama *library) {
    const char *(*version)(void);
    if (bind_call(handle, "llama_version", &version)) {
        snprintf(library->release, sizeof library->release, "%s", version());
    } else if (bind_call(handle, "ggml_version", &version)) {
        snprintf(library->release, sizeof library->release, "with ggml %s", version());
    } else {
        snprintf(library->release, sizeof library->release, "of unknown release");
    }
}

/* Functions about devices; all or none of them are there. */
typedef struct {
    size_t (*count)(void);
    void *(*get)(size_t index);
    const char *(*name)(void *device);
    void *(*by_name)(const char *name);
} device_calls;

static bool bind_devices(void *handle, device_calls *to) {
    return bind_call(handle, "ggml_backend_dev_count", &to->count) &&
           bind_call(handle, "ggml_backend_dev_get", &to->get) &&
           bind_call(handle, "ggml_backend_dev_name", &to->name) &&
           bind_call(handle, "ggml_backend_dev_by_name", &to->by_name);
}

static void find_devices(const device_calls *calls, libllama *library) {
    size_t at = 0, room = sizeof library->devices;
    for (size_t i = 0; i < calls->count(); i++) {
        int n = snprintf(library->devices + at, room - at, "%s%s", i ? "," : "",
                         calls->name(calls->get(i)));
        if (n < 0 || (size_t)n >= room - at) return;
        at += (size_t)n;
    }
}

/* The first members of llama_context_params are n_ctx, n_batch, n_ubatch, n_seq_max. */
static bool defaults_are_known(const libllama *library) {
    static const uint32_t DEFAULTS[4] = {512, 2048, 512, 1};
    libllama_room room = library->context_default_params();
    return memcmp(room.words, DEFAULTS, sizeof DEFAULTS) == 0;
}

static device_calls devices;
static bool has_devices;

static int open_library(libllama *library, engine_error *error) {
    const char *asked;
    void *handle = open_handle(&asked);
    if (!handle) {
        return llama_refuse(error, "there is no libllama that can be opened (%.300s): %s", dlerror(),
                            REMEDY);
    }
    const char *missing = bind_all(handle, library);
    if (missing) {
        return llama_refuse(error, "%.300s lacks %s: it is no libllama of release %s or later",
                            asked, missing, MINIMUM);
    }
    find_path(library, asked);
    if (!defaults_are_known(library)) {
        return llama_refuse(error,
                            "%.300s: its parameters' defaults are not those of llama.cpp releases "
                            "that this runtime knows",
                            library->path);
    }
    library->log_set(keep_error, NULL);
    library->backend_init();
    load_parts(handle, library);
    find_release(handle, library);
    has_devices = bind_devices(handle, &devices);
    if (has_devices) find_devices(&devices, library);
    return ENGINE_OK;
}

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

const libllama *libllama_open(engine_error *error) {
    static libllama library;
    static engine_error refusal;
    static int code = 1; /* not tried yet */
    pthread_mutex_lock(&open_lock);
    if (code == 1) code = open_library(&library, &refusal);
    pthread_mutex_unlock(&open_lock);
    if (code != ENGINE_OK && error) *error = refusal;
    return code == ENGINE_OK ? &library : NULL;
}

/* What the environment chooses in vain is a problem before there is a model. */
const char *llama_problem(void) {
    static engine_error why; /* always the same */
    libllama_room unused;
    const libllama *library = libllama_open(&why);
    bool sound = library && libllama_model_room(library, &unused, &why) == ENGINE_OK;
    return sound ? NULL : why.text;
}

const char *llama_about(void) {
    static char text[1024];
    const libllama *library = libllama_open(NULL);
    if (!library) return "llama (no llama.cpp), scripted";
    snprintf(text, sizeof text, "llama (llama.cpp %s, %.500s, on %s), scripted", library->release,
             library->path, *library->devices ? library->devices : "unknown devices");
    return text;
}

const char *llama_devices(void) {
    const char *chosen = getenv("RKLLM_LLAMA_DEVICES");
    const libllama *library = libllama_open(NULL);
    if (chosen && strcmp(chosen, "none") == 0) return "CPU";
    if (chosen && *chosen) return chosen;
    return library && *library->devices ? library->devices : "unknown";
}

/* ---- Parameters ---- */

enum { MOST_DEVICES = 16 };

/* Members of llama_model_params: devices (a list that ends with NULL), a pointer, n_gpu_layers (-1:
 * all), split_mode (1). Written only where the defaults are in these places. */
static bool places_are_known(const libllama_room *room) {
    return room->words[0] == 0 && room->words[1] == 0 && room->words[2] == 0x1FFFFFFFF;
}

/* "none" is an empty list: the processor alone. */
static int set_devices(const libllama *library, const char *names, libllama_room *room,
                       engine_error *error) {
    static void *chosen[MOST_DEVICES + 1]; /* the library keeps the pointer */
    char copy[256], *rest = copy;
    size_t n = 0;
    if (strlen(names) >= sizeof copy) return llama_refuse(error, "the list of devices is too long");
    strcpy(copy, strcmp(names, "none") == 0 ? "" : names);
    for (char *name; (name = strtok_r(rest, ",", &rest)); n++) {
        if (n == MOST_DEVICES) {
            return llama_refuse(error, "more than %d devices are named", MOST_DEVICES);
        }
        chosen[n] = has_devices ? devices.by_name(name) : NULL;
        if (!chosen[n]) {
            return llama_refuse(error,
                                "there is no device %.60s in this llama.cpp: --llama-devices may "
                                "name %s", name, library->devices);
        }
    }
    chosen[n] = NULL;
    room->words[0] = (uintptr_t)chosen;
    return ENGINE_OK;
}

static int set_layers(const char *text, libllama_room *room, engine_error *error) {
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || n < 0 || n > INT32_MAX) {
        return llama_refuse(error, "RKLLM_LLAMA_GPU_LAYERS is a number of layers, not %.60s", text);
    }
    const int32_t layers = (int32_t)n;
    memcpy(&room->words[2], &layers, sizeof layers);
    return ENGINE_OK;
}

int libllama_model_room(const libllama *with, libllama_room *room, engine_error *error) {
    const char *names = getenv("RKLLM_LLAMA_DEVICES"), *layers = getenv("RKLLM_LLAMA_GPU_LAYERS");
    *room = with->model_default_params();
    bool has_names = names && *names, has_layers = layers && *layers;
    if (!has_names && !has_layers) return ENGINE_OK;
    if (!places_are_known(room)) {
        return llama_refuse(error, "this llama.cpp does not let its devices and layers be chosen");
    }
    if (has_layers && set_layers(layers, room, error) != ENGINE_OK) return ENGINE_REFUSED;
    return has_names ? set_devices(with, names, room, error) : ENGINE_OK;
}

libllama_room libllama_context_room(const libllama *with, int32_t n_ctx, int32_t n_batch) {
    libllama_room room = with->context_default_params();
    const int32_t known[4] = {n_ctx, n_batch, n_batch, 1};
    memcpy(room.words, known, sizeof known);
    return room;
}

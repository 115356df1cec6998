/* The engine llama before it has a model: which libraries and files it refuses, and in which words.
 * front_llama SOUND LACKS DEFAULTS CRASH KINDS MODEL: stubs of libllama with one fault each, one that
 * loads any model, and a model that they are asked to load. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front_support.h"

static const char *model;

static void load_it(void *path) {
    RKLLMParam param = param_for(path);
    LLMHandle handle = NULL;
    init_with(&handle, &param);
}

static void load_in_child(void *path) {
    status_of(load_it, path);
}

/* What a process says that is given this library and asked to load this file. */
static const char *said(const char *library, const char *file) {
    setenv("RKLLM_LLAMA_LIBRARY", library, 1);
    return log_of(load_in_child, (void *)(uintptr_t)file);
}

#define CHECK_SAYS(text, part) CHECK(strstr((text), (part)) != NULL)

static void missing_library_is_named(void) {
    const char *text = said("/nowhere/libllama.so", model);
    CHECK_SAYS(text, "rkllm_init: there is no libllama that can be opened (/nowhere/libllama");
    CHECK_SAYS(text, "rkllm llama install");
}

static void library_without_a_call_is_refused(const char *lacks) {
    const char *text = said(lacks, model);
    CHECK_SAYS(text, "lacks llama_decode: it is no libllama of release b8179");
}

static void unknown_defaults_are_refused(const char *defaults) {
    CHECK_SAYS(said(defaults, model), "its parameters' defaults are not those of llama.cpp");
}

static void first_error_of_the_library_is_the_reason(const char *sound) {
    CHECK_SAYS(said(sound, model), "unknown model architecture: 'new'\n");
    CHECK(!strstr(said(sound, model), "failed to load model"));
}

static void crash_of_the_library_is_a_crash(const char *crash) {
    setenv("RKLLM_LLAMA_LIBRARY", crash, 1);
    int status = status_of(load_it, (void *)(uintptr_t)model);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* What llama.cpp says a model is, where its file does not. */
static void kinds_that_cannot_be_run_are_named(const char *kinds) {
    static const struct {
        const char *kind, *says;
    } KINDS[] = {
        {"encoder", "is an encoder, which generates no text, which"},
        {"encoder-decoder", "is an encoder-decoder model, which"},
        {"recurrent", "is a recurrent model, which"},
        {"hybrid", "is a model that is partly recurrent, which"},
        {"diffusion", "is a diffusion model, which"},
        {"mrope", "is a model with several positions per token (M-RoPE), which"},
        {"vision", "is a model with several positions per token (M-RoPE), which"},
        {"imrope", "is a model with several positions per token (M-RoPE), which"},
        {"no memory", "is an embedding model, which generates no text\n"},
        {"pooling", "is an embedding model, which generates no text\n"},
        {"too large", "cannot make room for a context of 128: failed to allocate the cache\n"},
    };
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        setenv("STUB_KIND", KINDS[i].kind, 1);
        CHECK_SAYS(said(kinds, model), KINDS[i].says);
    }
    unsetenv("STUB_KIND");
}

static void load_beside_another(void *path) {
    LLMHandle loaded = load_script("run\n echo\n");
    load_it(path);
    _exit(strcmp(told(loaded, "still here"), "N[still] N[ here] F") == 0 ? 7 : 1);
}

static void a_model_that_is_loaded_stays(const char *kinds) {
    setenv("RKLLM_LLAMA_LIBRARY", kinds, 1);
    setenv("STUB_KIND", "recurrent", 1);
    int status = status_of(load_beside_another, (void *)(uintptr_t)model);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    unsetenv("STUB_KIND");
}

/* ---- Devices ---- */

static const char *said_with(const char *devices, const char *layers, const char *library) {
    setenv("RKLLM_LLAMA_DEVICES", devices, 1);
    setenv("RKLLM_LLAMA_GPU_LAYERS", layers, 1);
    const char *text = said(library, model);
    unsetenv("RKLLM_LLAMA_DEVICES");
    unsetenv("RKLLM_LLAMA_GPU_LAYERS");
    return text;
}

static void devices_and_layers_reach_the_library(const char *kinds) {
    CHECK_SAYS(said_with("", "", kinds), "stub: -1 layers on any\n");
    CHECK_SAYS(said_with("NPU0", "7", kinds), "stub: 7 layers on NPU0.\n");
    CHECK_SAYS(said_with("NPU0,CPU", "", kinds), "stub: -1 layers on NPU0 CPU.\n");
    CHECK_SAYS(said_with("none", "0", kinds), "stub: 0 layers on.\n");
}

static void devices_and_layers_that_cannot_be_are_named(const char *kinds, const char *sound) {
    CHECK_SAYS(said_with("NPU0,NPU7", "", kinds), "no device NPU7 in this llama.cpp: --llama-devices may name CPU,NPU0\n");
    CHECK_SAYS(said_with("", "-1", kinds), "RKLLM_LLAMA_GPU_LAYERS is a number of layers, not -1\n");
    CHECK_SAYS(said_with("", "all", kinds), "is a number of layers, not all\n");
    CHECK_SAYS(said_with("NPU0", "", sound), "does not let its devices and layers be chosen\n");
}

/* ---- Files ---- */

static char bytes[4096];
static size_t length;

static void put(const void *from, size_t n) {
    memcpy(bytes + length, from, n);
    length += n;
}

static void put_u32(uint32_t value) { put(&value, sizeof value); }

static void put_u64(uint64_t value) { put(&value, sizeof value); }

static void put_text(const char *text) {
    put_u64(strlen(text));
    put(text, strlen(text));
}

static void begin_file(uint64_t n_tensors, uint64_t n_keys) {
    length = 0;
    put("GGUF", 4);
    put_u32(3);
    put_u64(n_tensors);
    put_u64(n_keys);
}

static void put_text_key(const char *key, const char *text) {
    put_text(key);
    put_u32(8);
    put_text(text);
}

static void put_number_key(const char *key, uint32_t value) {
    put_text(key);
    put_u32(4);
    put_u32(value);
}

static void put_tensor(uint64_t offset) {
    put_text("token_embd.weight");
    put_u32(1);
    put_u64(32);
    put_u32(0);
    put_u64(offset);
}

static const char *said_of_file(const char *sound) {
    return said(sound, write_file("model", bytes, length));
}

static void parts_and_kinds_are_named(const char *sound) {
    begin_file(1, 3);
    put_text_key("general.architecture", "qwen2");
    put_number_key("split.no", 1);
    put_number_key("split.count", 3);
    put_tensor(0);
    CHECK_SAYS(said_of_file(sound), "is part 2 of 3 of a split model");
    begin_file(1, 1);
    put_text_key("general.architecture", "clip");
    put_tensor(0);
    CHECK_SAYS(said_of_file(sound), "is the vision projector of a model");
    begin_file(1, 2);
    put_text_key("general.type", "adapter");
    put_text_key("general.architecture", "llama");
    put_tensor(0);
    CHECK_SAYS(said_of_file(sound), "is an adapter: load it with rkllm_load_lora");
    begin_file(0, 1);
    put_text_key("general.architecture", "llama");
    CHECK_SAYS(said_of_file(sound), "holds a vocabulary only");
    begin_file(1, 0);
    put_tensor(0);
    CHECK_SAYS(said_of_file(sound), "does not say what architecture it is of");
}

static void cut_files_are_named(const char *sound) {
    begin_file(1, 1);
    put_text_key("general.architecture", "llama");
    put_tensor(1 << 20);
    CHECK_SAYS(said_of_file(sound), "is cut short: it has ");
    size_t whole = length;
    for (size_t cut = 1; cut + 4 < whole; cut += 7) {
        length = whole - cut;
        CHECK_SAYS(said_of_file(sound), "is cut short");
    }
    begin_file(UINT64_MAX, UINT64_MAX);
    CHECK_SAYS(said_of_file(sound), "is a damaged GGUF file");
}

static void mistakes_are_named(const char *sound) {
    static const struct {
        const char *head, *says;
    } MISTAKES[] = {
        {"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"},
        {"<!DOCTYPE html><html>", "is a web page"},
        {"PK\x03\x04 and more", "is a ZIP archive"},
        {"", "is empty"},
        {"anything", "is neither a GGUF file nor a script"},
    };
    for (size_t i = 0; i < sizeof MISTAKES / sizeof *MISTAKES; i++) {
        const char *file = write_file("model", MISTAKES[i].head, strlen(MISTAKES[i].head));
        CHECK_SAYS(said(sound, file), MISTAKES[i].says);
    }
    static const char SAFETENSORS[] = "\x40\0\0\0\0\0\0\0{\"a\":1}";
    const char *file = write_file("model", SAFETENSORS, sizeof SAFETENSORS);
    CHECK_SAYS(said(sound, file), "is a safetensors file");
}

/* ---- What the library says of itself ---- */

static void about_names_engines_and_limits(void) {
    CHECK_SAYS(rkllm_cpu_backend(), "llama (");
    CHECK_SAYS(rkllm_cpu_limits(), "llama: batch, cross_attention, video\nscripted: video\n");
    CHECK_SAYS(rkllm_cpu_problem(), "that can be opened");
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    model = argv[6];
    missing_library_is_named();
    library_without_a_call_is_refused(argv[2]);
    unknown_defaults_are_refused(argv[3]);
    first_error_of_the_library_is_the_reason(argv[1]);
    crash_of_the_library_is_a_crash(argv[4]);
    kinds_that_cannot_be_run_are_named(argv[5]);
    a_model_that_is_loaded_stays(argv[5]);
    devices_and_layers_reach_the_library(argv[5]);
    devices_and_layers_that_cannot_be_are_named(argv[5], argv[1]);
    parts_and_kinds_are_named(argv[1]);
    cut_files_are_named(argv[1]);
    mistakes_are_named(argv[1]);
    setenv("RKLLM_LLAMA_LIBRARY", "/nowhere/libllama.so", 1);
    about_names_engines_and_limits();
    return finish_checks("front_llama");
}

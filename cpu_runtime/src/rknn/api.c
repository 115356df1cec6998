/* librknnrt's calls over a script. Rows are the mean colours of stripes of the picture, times a
 * matrix that depends on nothing: equal pictures have equal rows, and others have others. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rknn_scripted.h"
#include "script.h"

enum { LARGEST_SCRIPT = 1 << 16, COLOURS = 3 };

struct encoder {
    struct rknn_script script;
    uint8_t *pixels; /* NULL until an input is set */
    int has_run;
    uint32_t held; /* outputs that were not released */
};

static int refuse(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("E RKNN: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return code;
}

/* ---- Contexts: a number that is never given twice ---- */

enum { MOST_ENCODERS = 8 };
static struct encoder *encoders[MOST_ENCODERS];
static rknn_context numbers[MOST_ENCODERS];
static rknn_context last_number;

static struct encoder **find(rknn_context context) {
    for (size_t i = 0; i < MOST_ENCODERS; i++) {
        if (encoders[i] && numbers[i] == context) return &encoders[i];
    }
    return NULL;
}

static int add(struct encoder *encoder, rknn_context *context) {
    for (size_t i = 0; i < MOST_ENCODERS; i++) {
        if (encoders[i]) continue;
        encoders[i] = encoder;
        *context = numbers[i] = ++last_number;
        return 0;
    }
    return -1;
}

#define FIND(context)                                                                    \
    struct encoder **place = find(context);                                              \
    if (!place) return refuse(RKNN_ERR_CTX_INVALID, "%s: there is no such context", __func__); \
    struct encoder *encoder = *place

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rbe");
    char *text = file ? calloc(1, LARGEST_SCRIPT + 1) : NULL;
    if (text && fread(text, 1, LARGEST_SCRIPT, file) == 0) {
        free(text);
        text = NULL;
    }
    if (file) fclose(file);
    return text;
}

int rknn_init(rknn_context *context, void *model, uint32_t size, uint32_t flag, void *extend) {
    (void)flag, (void)extend;
    if (!context || !model) return refuse(RKNN_ERR_PARAM_INVALID, "rknn_init: NULL");
    if (size) return refuse(RKNN_ERR_PARAM_INVALID, "rknn_init: only the path of a script is read");
    char *text = read_text(model);
    if (!text) return refuse(RKNN_ERR_MODEL_INVALID, "%s: %s", (char *)model, strerror(errno));
    struct encoder *encoder = calloc(1, sizeof *encoder);
    int wrong = encoder ? rknn_script_read(text, &encoder->script) : 0;
    free(text);
    int code = !encoder ? RKNN_ERR_MALLOC_FAIL : 0;
    if (wrong > 0) code = refuse(RKNN_ERR_MODEL_INVALID, "line %d of the script is wrong", wrong);
    if (wrong < 0) code = refuse(RKNN_ERR_MODEL_INVALID, "parseRKNN: invalid RKNN format");
    if (!code) code = rknn_script_play(&encoder->script.init);
    if (!code && add(encoder, context) != 0) code = RKNN_ERR_MALLOC_FAIL;
    if (code) free(encoder);
    return code;
}

int rknn_destroy(rknn_context context) {
    FIND(context);
    if (encoder->held) refuse(0, "%u outputs were never released", encoder->held);
    free(encoder->pixels);
    free(encoder);
    *place = NULL;
    return RKNN_SUCC;
}

/* ---- Queries ---- */

static void describe_input(const struct rknn_script *script, rknn_tensor_attr *attr) {
    attr->n_dims = 4;
    attr->dims[0] = 1;
    attr->dims[1] = script->height;
    attr->dims[2] = script->width;
    attr->dims[3] = COLOURS;
    attr->n_elems = script->height * script->width * COLOURS;
    attr->size = attr->n_elems * 2;
    attr->fmt = RKNN_TENSOR_NHWC;
    attr->type = RKNN_TENSOR_FLOAT16;
    snprintf(attr->name, sizeof attr->name, "pixels");
}

static uint32_t count_of(const struct rknn_script *script) {
    uint32_t n = 1;
    for (uint32_t i = 0; i < script->n_dims; i++) n *= script->dims[i];
    return n;
}

static void describe_output(const struct rknn_script *script, rknn_tensor_attr *attr) {
    attr->n_dims = script->n_dims;
    memcpy(attr->dims, script->dims, sizeof script->dims);
    attr->n_elems = count_of(script);
    attr->size = attr->n_elems * 2;
    attr->fmt = RKNN_TENSOR_UNDEFINED;
    attr->type = RKNN_TENSOR_FLOAT16;
    snprintf(attr->name, sizeof attr->name, "rows%u", attr->index);
}

static int query_attr(const struct rknn_script *script, rknn_query_cmd command, void *info) {
    rknn_tensor_attr *attr = info;
    uint32_t index = attr->index, is_input = command == RKNN_QUERY_INPUT_ATTR;
    if (index >= (is_input ? script->inputs : script->outputs)) {
        return refuse(RKNN_ERR_PARAM_INVALID, "rknn_query: there is no tensor %u", index);
    }
    *attr = (rknn_tensor_attr){.index = index};
    (is_input ? describe_input : describe_output)(script, attr);
    return RKNN_SUCC;
}

int rknn_query(rknn_context context, rknn_query_cmd command, void *info, uint32_t size) {
    FIND(context);
    const struct rknn_script *script = &encoder->script;
    static const struct {
        rknn_query_cmd command;
        size_t size;
    } SIZES[] = {
        {RKNN_QUERY_IN_OUT_NUM, sizeof(rknn_input_output_num)},
        {RKNN_QUERY_INPUT_ATTR, sizeof(rknn_tensor_attr)},
        {RKNN_QUERY_OUTPUT_ATTR, sizeof(rknn_tensor_attr)},
        {RKNN_QUERY_SDK_VERSION, sizeof(rknn_sdk_version)},
        {RKNN_QUERY_MEM_SIZE, sizeof(rknn_mem_size)},
    };
    size_t due = 0;
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        if (SIZES[i].command == command) due = SIZES[i].size;
    }
    if (!info || !due || size < due) {
        return refuse(RKNN_ERR_PARAM_INVALID, "rknn_query %d: %u bytes", (int)command, size);
    }
    if (command == RKNN_QUERY_IN_OUT_NUM) {
        *(rknn_input_output_num *)info = (rknn_input_output_num){script->inputs, script->outputs};
    } else if (command == RKNN_QUERY_SDK_VERSION) {
        rknn_sdk_version *version = info;
        *version = (rknn_sdk_version){.api_version = ""};
        snprintf(version->api_version, sizeof version->api_version, "%s (scripted)",
                 script->version);
        snprintf(version->drv_version, sizeof version->drv_version, "%s", script->driver);
    } else if (command == RKNN_QUERY_MEM_SIZE) {
        *(rknn_mem_size *)info = (rknn_mem_size){
            .total_weight_size = script->memory,
            .total_dma_allocated_size = script->memory,
        };
    } else {
        return query_attr(script, command, info);
    }
    return RKNN_SUCC;
}

int rknn_set_core_mask(rknn_context context, rknn_core_mask mask) {
    FIND(context);
    int code = rknn_script_play(&encoder->script.cores);
    if (code) return code;
    if ((int)mask < 0 || ((int)mask > RKNN_NPU_CORE_0_1_2 && mask != RKNN_NPU_CORE_ALL)) {
        return refuse(RKNN_ERR_PARAM_INVALID, "rknn_set_core_mask: %d", (int)mask);
    }
    return RKNN_SUCC;
}

/* ---- A picture ---- */

int rknn_inputs_set(rknn_context context, uint32_t n, rknn_input inputs[]) {
    FIND(context);
    const struct rknn_script *script = &encoder->script;
    uint32_t size = script->width * script->height * COLOURS;
    if (n != 1 || !inputs || inputs[0].index != 0 || !inputs[0].buf) {
        return refuse(RKNN_ERR_INPUT_INVALID, "rknn_inputs_set: one input, of index 0");
    }
    if (inputs[0].type != RKNN_TENSOR_UINT8 || inputs[0].fmt != RKNN_TENSOR_NHWC) {
        return refuse(RKNN_ERR_INPUT_INVALID, "rknn_inputs_set: UINT8 and NHWC are taken");
    }
    if (inputs[0].pass_through || inputs[0].size != size) {
        return refuse(RKNN_ERR_INPUT_INVALID, "rknn_inputs_set: %u bytes are taken, not %u", size,
                      inputs[0].size);
    }
    free(encoder->pixels);
    encoder->pixels = malloc(size);
    if (!encoder->pixels) return RKNN_ERR_MALLOC_FAIL;
    memcpy(encoder->pixels, inputs[0].buf, size);
    encoder->has_run = 0;
    return RKNN_SUCC;
}

int rknn_run(rknn_context context, void *extend) {
    (void)extend;
    FIND(context);
    if (!encoder->pixels) return refuse(RKNN_ERR_INPUT_INVALID, "rknn_run: no input was set");
    const struct timespec delay = {
        .tv_sec = encoder->script.delay / 1000,
        .tv_nsec = (long)(encoder->script.delay % 1000) * 1000000,
    };
    nanosleep(&delay, NULL);
    int code = rknn_script_play(&encoder->script.run);
    encoder->has_run = !code;
    return code;
}

static float matrix(uint32_t output, uint32_t column, uint32_t colour) {
    uint64_t z = ((uint64_t)output << 40 | (uint64_t)column << 8 | colour) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)(z >> 40) / (float)(1 << 23) - 1;
}

/* The mean colour, from 0 to 1, of the stripe of a token. */
static void mean_colour(const struct encoder *encoder, uint32_t token, float mean[COLOURS]) {
    uint64_t n = (uint64_t)encoder->script.width * encoder->script.height;
    uint64_t first = n * token / encoder->script.tokens;
    uint64_t last = n * (token + 1) / encoder->script.tokens;
    if (first >= n) first = n - 1;
    if (last <= first) last = first + 1;
    uint64_t sums[COLOURS] = {0};
    for (uint64_t i = first; i < last; i++) {
        for (size_t c = 0; c < COLOURS; c++) sums[c] += encoder->pixels[i * COLOURS + c];
    }
    for (size_t c = 0; c < COLOURS; c++) {
        mean[c] = (float)sums[c] / (255 * (float)(last - first));
    }
}

static void fill(const struct encoder *encoder, uint32_t output, float *rows) {
    const struct rknn_script *script = &encoder->script;
    uint32_t n = count_of(script), width = script->row_width;
    float mean[COLOURS] = {0}; /* gcc does not see that all are set */
    for (uint32_t i = 0; i < n; i++) {
        if (i % width == 0) mean_colour(encoder, i / width, mean);
        rows[i] = 0;
        for (uint32_t c = 0; c < COLOURS; c++) {
            rows[i] += script->scale * (mean[c] - 0.5f) * matrix(output, i % width, c);
        }
    }
    if (script->numbers == NUMBERS_NAN) rows[n / 2] = NAN;
    if (script->numbers == NUMBERS_INF) rows[n / 2] = INFINITY;
}

static int get_output(struct encoder *encoder, rknn_output *output) {
    const struct rknn_script *script = &encoder->script;
    if (output->index >= script->outputs || !output->want_float) {
        return refuse(RKNN_ERR_OUTPUT_INVALID, "rknn_outputs_get: an index, or no want_float");
    }
    if (script->numbers == NUMBERS_NULL) {
        if (!output->is_prealloc) output->buf = NULL;
        return RKNN_SUCC;
    }
    uint32_t size = count_of(script) * (uint32_t)sizeof(float);
    if (!output->is_prealloc) {
        if (encoder->held >= script->held) {
            return refuse(RKNN_ERR_MALLOC_FAIL, "failed to malloc npu memory, size: %u", size);
        }
        output->buf = malloc(size);
        if (!output->buf) return RKNN_ERR_MALLOC_FAIL;
        output->size = size;
        encoder->held++;
    } else if (!output->buf || output->size < size) {
        return refuse(RKNN_ERR_OUTPUT_INVALID, "rknn_outputs_get: %u bytes are due", size);
    }
    fill(encoder, output->index, output->buf);
    return RKNN_SUCC;
}

int rknn_outputs_get(rknn_context context, uint32_t n, rknn_output outputs[], void *extend) {
    (void)extend;
    FIND(context);
    if (!encoder->has_run) return refuse(RKNN_ERR_OUTPUT_INVALID, "rknn_outputs_get: no run");
    if (n != encoder->script.outputs || !outputs) {
        return refuse(RKNN_ERR_OUTPUT_INVALID, "rknn_outputs_get: all outputs are got at once");
    }
    for (uint32_t i = 0; i < n; i++) {
        int code = get_output(encoder, &outputs[i]);
        if (code) {
            rknn_outputs_release(context, i, outputs);
            return code;
        }
    }
    return RKNN_SUCC;
}

int rknn_outputs_release(rknn_context context, uint32_t n, rknn_output outputs[]) {
    FIND(context);
    for (uint32_t i = 0; outputs && i < n; i++) {
        if (outputs[i].is_prealloc || !outputs[i].buf) continue;
        free(outputs[i].buf);
        outputs[i].buf = NULL;
        encoder->held--;
    }
    return RKNN_SUCC;
}

const char *rknn_scripted_about(void) {
    return "rkllm_twisted's scripted encoder: it makes up rows, and is not Rockchip's librknnrt";
}

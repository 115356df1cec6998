/* The scripted encoder by its interface, as the daemon calls it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rknn_scripted.h"

static int n_checks, n_failed;

#define CHECK(what) check(!!(what), #what, __LINE__)
static void check(int good, const char *what, int line) {
    n_checks++;
    if (good) return;
    n_failed++;
    printf("rknn_api.c:%d: FAILED: %s\n", line, what);
}

/* A script's faults shall look as they do without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "handle_segv=0"; }

static char path[] = "/tmp/rknn_api-XXXXXX";

static int open_script(rknn_context *context, const char *rest) {
    FILE *file = fopen(path, "w");
    if (!file) exit(2);
    fprintf(file, "#!rknn-script 1\nwidth 8\nheight 4\ntokens 4\nrow_width 6\n%s", rest);
    fclose(file);
    return rknn_init(context, path, 0, 0, NULL);
}

static int set_pixels(rknn_context context, uint8_t level) {
    static uint8_t pixels[8 * 4 * 3];
    memset(pixels, level, sizeof pixels);
    rknn_input input = {.buf = pixels, .size = sizeof pixels, .type = RKNN_TENSOR_UINT8,
                        .fmt = RKNN_TENSOR_NHWC};
    return rknn_inputs_set(context, 1, &input);
}

static void test_facts(void) {
    rknn_context context;
    CHECK(open_script(&context, "outputs 2\nversion 2.2.0\ndriver 0.9.6\n") == 0);
    rknn_input_output_num number;
    CHECK(rknn_query(context, RKNN_QUERY_IN_OUT_NUM, &number, sizeof number) == 0);
    CHECK(number.n_input == 1 && number.n_output == 2);
    rknn_tensor_attr attr = {.index = 0};
    CHECK(rknn_query(context, RKNN_QUERY_INPUT_ATTR, &attr, sizeof attr) == 0);
    CHECK(attr.n_dims == 4 && attr.dims[1] == 4 && attr.dims[2] == 8 && attr.dims[3] == 3);
    attr.index = 1;
    CHECK(rknn_query(context, RKNN_QUERY_OUTPUT_ATTR, &attr, sizeof attr) == 0);
    CHECK(attr.n_dims == 2 && attr.dims[0] == 4 && attr.dims[1] == 6 && attr.n_elems == 24);
    attr.index = 2;
    CHECK(rknn_query(context, RKNN_QUERY_OUTPUT_ATTR, &attr, sizeof attr) == RKNN_ERR_PARAM_INVALID);
    rknn_sdk_version version;
    CHECK(rknn_query(context, RKNN_QUERY_SDK_VERSION, &version, sizeof version) == 0);
    CHECK(strcmp(version.drv_version, "0.9.6") == 0);
    CHECK(strncmp(version.api_version, "2.2.0", 5) == 0);
    CHECK(rknn_query(context, RKNN_QUERY_SDK_VERSION, &version, 8) == RKNN_ERR_PARAM_INVALID);
    CHECK(rknn_set_core_mask(context, RKNN_NPU_CORE_0_1_2) == 0);
    CHECK(rknn_set_core_mask(context, (rknn_core_mask)99) == RKNN_ERR_PARAM_INVALID);
    CHECK(rknn_destroy(context) == 0);
    CHECK(rknn_destroy(context) == RKNN_ERR_CTX_INVALID);
}

static void test_rows(void) {
    rknn_context context;
    CHECK(open_script(&context, "outputs 2\nheld 4\n") == 0);
    float first[24] = {0};
    for (int round = 0; round < 9; round++) {
        CHECK(set_pixels(context, round == 1 ? 9 : 200) == 0);
        CHECK(rknn_run(context, NULL) == 0);
        rknn_output outputs[2] = {{.want_float = 1}, {.want_float = 1, .index = 1}};
        CHECK(rknn_outputs_get(context, 2, outputs, NULL) == 0);
        CHECK(outputs[0].size == sizeof first && outputs[1].size == sizeof first);
        CHECK(memcmp(outputs[0].buf, outputs[1].buf, sizeof first) != 0);
        if (round == 0) memcpy(first, outputs[0].buf, sizeof first);
        CHECK((memcmp(first, outputs[0].buf, sizeof first) == 0) == (round != 1));
        CHECK(rknn_outputs_release(context, 2, outputs) == 0);
    }
    CHECK(rknn_destroy(context) == 0);
}

static void test_inputs(void) {
    rknn_context context;
    CHECK(open_script(&context, "") == 0);
    CHECK(rknn_run(context, NULL) == RKNN_ERR_INPUT_INVALID);
    static uint8_t pixels[96];
    const rknn_input good = {.buf = pixels, .size = 96, .type = RKNN_TENSOR_UINT8,
                             .fmt = RKNN_TENSOR_NHWC};
    rknn_input wrong[5] = {good, good, good, good, good};
    wrong[0].size = 95;
    wrong[1].type = RKNN_TENSOR_FLOAT32;
    wrong[2].fmt = RKNN_TENSOR_NCHW;
    wrong[3].pass_through = 1;
    wrong[4].index = 1;
    for (int i = 0; i < 5; i++) {
        CHECK(rknn_inputs_set(context, 1, &wrong[i]) == RKNN_ERR_INPUT_INVALID);
    }
    rknn_input twice[2] = {good, good};
    CHECK(rknn_inputs_set(context, 2, twice) == RKNN_ERR_INPUT_INVALID);
    CHECK(rknn_inputs_set(context, 1, twice) == 0);
    CHECK(rknn_run(context, NULL) == 0);
    rknn_output output = {.want_float = 0};
    CHECK(rknn_outputs_get(context, 1, &output, NULL) == RKNN_ERR_OUTPUT_INVALID);
    CHECK(rknn_destroy(context) == 0);
}

static void test_unreleased_outputs(void) {
    rknn_context context;
    CHECK(open_script(&context, "held 2\n") == 0);
    rknn_output outputs[3] = {{.want_float = 1}, {.want_float = 1}, {.want_float = 1}};
    for (int i = 0; i < 3; i++) {
        CHECK(set_pixels(context, 1) == 0 && rknn_run(context, NULL) == 0);
        int code = rknn_outputs_get(context, 1, &outputs[i], NULL);
        CHECK(code == (i < 2 ? 0 : RKNN_ERR_MALLOC_FAIL));
    }
    CHECK(rknn_outputs_release(context, 2, outputs) == 0);
    CHECK(rknn_destroy(context) == 0);
}

static void test_faults(void) {
    rknn_context context;
    CHECK(open_script(&context, "init -6\n") == -6);
    CHECK(open_script(&context, "what is this\n") == RKNN_ERR_MODEL_INVALID);
    CHECK(open_script(&context, "width 0\n") == RKNN_ERR_MODEL_INVALID);
    CHECK(open_script(&context, "dims 1 2 x\n") == RKNN_ERR_MODEL_INVALID);
    CHECK(rknn_init(&context, "/nowhere", 0, 0, NULL) == RKNN_ERR_MODEL_INVALID);
    CHECK(open_script(&context, "run -1 # a comment\n") == 0);
    CHECK(set_pixels(context, 1) == 0 && rknn_run(context, NULL) == -1);
    CHECK(rknn_destroy(context) == 0);
    static const char *const NUMBERS[] = {"output null\n", "output nan\n", "output inf\n"};
    for (int i = 0; i < 3; i++) {
        CHECK(open_script(&context, NUMBERS[i]) == 0);
        CHECK(set_pixels(context, 1) == 0 && rknn_run(context, NULL) == 0);
        rknn_output output = {.want_float = 1};
        CHECK(rknn_outputs_get(context, 1, &output, NULL) == 0);
        CHECK(i == 0 ? !output.buf : !isfinite(((float *)output.buf)[12]));
        CHECK(rknn_outputs_release(context, 1, &output) == 0);
        CHECK(rknn_destroy(context) == 0);
    }
    CHECK(open_script(&context, "dims 1 1 2 2 6\n") == 0);
    rknn_tensor_attr attr = {.index = 0};
    CHECK(rknn_query(context, RKNN_QUERY_OUTPUT_ATTR, &attr, sizeof attr) == 0 && attr.n_dims == 5);
    CHECK(rknn_destroy(context) == 0);
}

static void test_crash(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        rknn_context context;
        _exit(open_script(&context, "init segv\n") ? 1 : 0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
}

int main(void) {
    int descriptor = mkstemp(path);
    if (descriptor < 0) return 2;
    close(descriptor);
    test_facts();
    test_rows();
    test_inputs();
    test_unreleased_outputs();
    test_faults();
    test_crash();
    CHECK(strstr(rknn_scripted_about(), "not Rockchip's") != NULL);
    unlink(path);
    printf("rknn_api: %d checks, %d failed\n", n_checks, n_failed);
    return n_failed > 0;
}

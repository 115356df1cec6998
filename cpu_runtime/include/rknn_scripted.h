/* The part of librknnrt's C interface that the daemon uses, for a library that makes up its rows.
 *
 * Numbers, names and layouts are those of the rknn_api.h in the multimodal examples of RKLLM 1.2.0
 * and 1.3.0, which are the same. rknn_scripted_about() is not Rockchip's: it says that this library
 * is not. */
#ifndef RKNN_SCRIPTED_H
#define RKNN_SCRIPTED_H

#include <stddef.h>
#include <stdint.h>

#define RKNN_API __attribute__((visibility("default")))

enum { RKNN_MAX_DIMS = 16, RKNN_MAX_NAME_LEN = 256 };

enum {
    RKNN_SUCC = 0,
    RKNN_ERR_FAIL = -1,
    RKNN_ERR_MALLOC_FAIL = -4,
    RKNN_ERR_PARAM_INVALID = -5,
    RKNN_ERR_MODEL_INVALID = -6,
    RKNN_ERR_CTX_INVALID = -7,
    RKNN_ERR_INPUT_INVALID = -8,
    RKNN_ERR_OUTPUT_INVALID = -9,
};

typedef enum {
    RKNN_QUERY_IN_OUT_NUM = 0,
    RKNN_QUERY_INPUT_ATTR = 1,
    RKNN_QUERY_OUTPUT_ATTR = 2,
    RKNN_QUERY_SDK_VERSION = 5,
    RKNN_QUERY_MEM_SIZE = 6,
} rknn_query_cmd;

typedef enum { RKNN_TENSOR_FLOAT32 = 0, RKNN_TENSOR_FLOAT16 = 1, RKNN_TENSOR_UINT8 = 3 } rknn_tensor_type;
typedef enum { RKNN_TENSOR_NCHW = 0, RKNN_TENSOR_NHWC = 1, RKNN_TENSOR_UNDEFINED = 3 } rknn_tensor_format;
typedef enum { RKNN_TENSOR_QNT_NONE = 0 } rknn_tensor_qnt_type;
typedef enum {
    RKNN_NPU_CORE_AUTO = 0,
    RKNN_NPU_CORE_0 = 1,
    RKNN_NPU_CORE_1 = 2,
    RKNN_NPU_CORE_2 = 4,
    RKNN_NPU_CORE_0_1 = 3,
    RKNN_NPU_CORE_0_1_2 = 7,
    RKNN_NPU_CORE_ALL = 0xffff,
} rknn_core_mask;

typedef uint64_t rknn_context; /* 32 bits on a 32-bit ARM, where RKLLM does not exist */

typedef struct {
    uint32_t n_input, n_output;
} rknn_input_output_num;

typedef struct {
    uint32_t index, n_dims, dims[RKNN_MAX_DIMS];
    char name[RKNN_MAX_NAME_LEN];
    uint32_t n_elems, size;
    rknn_tensor_format fmt;
    rknn_tensor_type type;
    rknn_tensor_qnt_type qnt_type;
    int8_t fl;
    int32_t zp;
    float scale;
    uint32_t w_stride, size_with_stride;
    uint8_t pass_through;
    uint32_t h_stride;
} rknn_tensor_attr;

typedef struct {
    char api_version[256], drv_version[256];
} rknn_sdk_version;

typedef struct {
    uint32_t total_weight_size, total_internal_size;
    uint64_t total_dma_allocated_size;
    uint32_t total_sram_size, free_sram_size, reserved[10];
} rknn_mem_size;

typedef struct {
    uint32_t index;
    void *buf;
    uint32_t size;
    uint8_t pass_through;
    rknn_tensor_type type;
    rknn_tensor_format fmt;
} rknn_input;

typedef struct {
    uint8_t want_float, is_prealloc;
    uint32_t index;
    void *buf;
    uint32_t size;
} rknn_output;

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(rknn_context) == 8, "rknn_context");
_Static_assert(sizeof(rknn_input_output_num) == 8, "rknn_input_output_num");
_Static_assert(sizeof(rknn_tensor_attr) == 376, "rknn_tensor_attr");
_Static_assert(offsetof(rknn_tensor_attr, n_elems) == 328, "rknn_tensor_attr.n_elems");
_Static_assert(offsetof(rknn_tensor_attr, fmt) == 336, "rknn_tensor_attr.fmt");
_Static_assert(offsetof(rknn_tensor_attr, h_stride) == 372, "rknn_tensor_attr.h_stride");
_Static_assert(sizeof(rknn_sdk_version) == 512, "rknn_sdk_version");
_Static_assert(sizeof(rknn_mem_size) == 64, "rknn_mem_size");
_Static_assert(sizeof(rknn_input) == 32, "rknn_input");
_Static_assert(sizeof(rknn_output) == 24, "rknn_output");
#endif

RKNN_API int rknn_init(rknn_context *context, void *model, uint32_t size, uint32_t flag,
                       void *extend);
RKNN_API int rknn_destroy(rknn_context context);
RKNN_API int rknn_query(rknn_context context, rknn_query_cmd command, void *info, uint32_t size);
RKNN_API int rknn_set_core_mask(rknn_context context, rknn_core_mask mask);
RKNN_API int rknn_inputs_set(rknn_context context, uint32_t n, rknn_input inputs[]);
RKNN_API int rknn_run(rknn_context context, void *extend);
RKNN_API int rknn_outputs_get(rknn_context context, uint32_t n, rknn_output outputs[],
                              void *extend);
RKNN_API int rknn_outputs_release(rknn_context context, uint32_t n, rknn_output outputs[]);

/* One line that says what this library is. */
RKNN_API const char *rknn_scripted_about(void);

#endif

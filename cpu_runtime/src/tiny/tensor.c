/* A GGUF file's list of tensors, and their values as floats. */
#include "tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metadata.h"

/* Q8_0: blocks of 32 values, a half-precision scale and 32 signed bytes each. */
enum { BLOCK = 32, BLOCK_BYTES = 34, MOST_TENSORS = 8192 };

static int take_dims(tiny_cursor *cursor, tiny_tensor *tensor, engine_error *error)
{
    uint32_t n_dims;
    char shown[TINY_NAME];
    if (!tiny_take_u32(cursor, &n_dims))
        return tiny_refuse(error, "the file ends within its list of tensors");
    if (n_dims < 1 || n_dims > 4)
        return tiny_refuse(error, "the tensor %s has %u dimensions",
                           tiny_shown(tensor->name, shown), (unsigned)n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t dim = 1;
        if (i < n_dims && !tiny_take_u64(cursor, &dim))
            return tiny_refuse(error, "the file ends within its list of tensors");
        if (dim < 1 || dim > INT32_MAX)
            return tiny_refuse(error, "the tensor %s has an impossible dimension",
                               tiny_shown(tensor->name, shown));
        tensor->dims[i] = (size_t)dim;
    }
    return ENGINE_OK;
}

static bool measure(tiny_tensor *tensor)
{
    size_t row = tensor->dims[0], rows = tensor->dims[1];
    if (tensor->type == TENSOR_Q8_0 && row % BLOCK)
        return false;
    size_t row_bytes = tensor->type == TENSOR_F32   ? row * 4
                       : tensor->type == TENSOR_F16 ? row * 2
                                                    : row / BLOCK * BLOCK_BYTES;
    return tiny_multiply(rows, tensor->dims[2], &rows) &&
           tiny_multiply(rows, tensor->dims[3], &rows) &&
           tiny_multiply(rows, row_bytes, &tensor->bytes);
}

static int take_tensor(tiny_cursor *cursor, tiny_tensor *tensor, engine_error *error)
{
    char shown[TINY_NAME];
    if (!tiny_take_text(cursor, &tensor->name))
        return tiny_refuse(error, "the file ends within its list of tensors");
    int result = take_dims(cursor, tensor, error);
    if (result != ENGINE_OK)
        return result;
    if (!tiny_take_u32(cursor, &tensor->type) || !tiny_take_u64(cursor, &tensor->offset))
        return tiny_refuse(error, "the file ends within its list of tensors");
    if (tensor->type != TENSOR_F32 && tensor->type != TENSOR_F16 && tensor->type != TENSOR_Q8_0)
        return tiny_refuse(error, "the tensor %s is of a type other than F32, F16 and Q8_0",
                           tiny_shown(tensor->name, shown));
    if (!measure(tensor))
        return tiny_refuse(error, "the tensor %s has impossible dimensions",
                           tiny_shown(tensor->name, shown));
    return ENGINE_OK;
}

/* Tensors share no bytes in a sound file. Where their sum fits too, a small file cannot stand for
 * a model of any size by naming the same bytes again and again. */
static int place_tensors(tiny_gguf *file, const uint8_t *data, size_t size, size_t alignment,
                         engine_error *error)
{
    size_t left = size;
    char shown[TINY_NAME];
    for (size_t i = 0; i < file->n_tensors; i++) {
        tiny_tensor *tensor = &file->tensors[i];
        if (tensor->offset > size || tensor->bytes > size - (size_t)tensor->offset)
            return tiny_refuse(error, "the tensor %s lies beyond the end of the file",
                               tiny_shown(tensor->name, shown));
        if (tensor->offset % alignment)
            return tiny_refuse(error, "the tensor %s is not aligned",
                               tiny_shown(tensor->name, shown));
        if (tensor->bytes > left)
            return tiny_refuse(error, "the tensors overlap");
        left -= tensor->bytes;
        tensor->data = data + (size_t)tensor->offset;
    }
    return ENGINE_OK;
}

int tiny_parse_tensors(tiny_gguf *file, tiny_cursor *cursor, engine_error *error)
{
    size_t alignment = 32;
    int result = tiny_get_size(file, "general.alignment", &alignment, error);
    if (result != ENGINE_OK)
        return result;
    if (!alignment || alignment > 65536 || alignment & (alignment - 1))
        return tiny_refuse(error, "the key general.alignment is not a power of two");
    if (file->n_tensors > MOST_TENSORS)
        return tiny_refuse(error, "the file claims more tensors than this engine takes");
    for (size_t i = 0; i < file->n_tensors; i++) {
        result = take_tensor(cursor, &file->tensors[i], error);
        if (result != ENGINE_OK)
            return result;
    }
    size_t used = file->size - cursor->left;
    const uint8_t *padding;
    if (file->n_tensors && !tiny_take(cursor, (alignment - used % alignment) % alignment, &padding))
        return tiny_refuse(error, "the file ends before its tensors");
    return place_tensors(file, cursor->at, cursor->left, alignment, error);
}

tiny_tensor *tiny_gguf_tensor(const tiny_gguf *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (tiny_text_is(file->tensors[i].name, name)) {
            file->tensors[i].used = true;
            return &file->tensors[i];
        }
    return NULL;
}

static float half_to_float(uint16_t half)
{
    uint32_t mantissa = half & 0x3ff, exponent = half >> 10 & 0x1f;
    float sign = half & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)mantissa, -24);
    uint32_t bits = (uint32_t)(half & 0x8000) << 16 | (exponent + 112) << 23 | mantissa << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void q8_row(const uint8_t *from, size_t n, float *to)
{
    for (size_t i = 0; i < n; i += BLOCK, from += BLOCK_BYTES) {
        float scale = half_to_float(tiny_u16(from));
        for (size_t j = 0; j < BLOCK; j++) {
            int byte = from[2 + j];
            to[i + j] = scale * (float)(byte < 128 ? byte : byte - 256);
        }
    }
}

void tiny_tensor_q8_row(const tiny_tensor *tensor, size_t row, int8_t *values, float *scales)
{
    const size_t n_blocks = tensor->dims[0] / BLOCK;
    const uint8_t *from = tensor->data + row * n_blocks * BLOCK_BYTES;
    for (size_t i = 0; i < n_blocks; i++, from += BLOCK_BYTES) {
        scales[i] = half_to_float(tiny_u16(from));
        memcpy(values + i * BLOCK, from + 2, BLOCK);
    }
}

void tiny_tensor_row(const tiny_tensor *tensor, size_t row, float *to)
{
    size_t n = tensor->dims[0];
    if (tensor->type == TENSOR_Q8_0) {
        q8_row(tensor->data + row * (n / BLOCK * BLOCK_BYTES), n, to);
    } else if (tensor->type == TENSOR_F16) {
        for (size_t i = 0; i < n; i++)
            to[i] = half_to_float(tiny_u16(tensor->data + (row * n + i) * 2));
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = tiny_f32(tensor->data + (row * n + i) * 4);
    }
}

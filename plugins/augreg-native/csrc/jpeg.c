/* The Python module `_jpeg`: decodes a part of a JPEG, at its size or at a half, a quarter or an eighth, by libjpeg-turbo.
 *
 * It has no part in the programs of ops, and is left out where the headers of libjpeg-turbo are missing. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

/* Rows and columns of the result around the wanted part that are decoded too: the filter that enlarges the chroma planes
 * reads a neighbor on each side, which a decoder that begins within the image does not have. */
enum { MARGIN = 16, ROWS = 8 };

typedef struct {
    struct jpeg_error_mgr base;
    jmp_buf failed;
} error_manager;

static void fail(j_common_ptr info) { longjmp(((error_manager *)info->err)->failed, 1); }

/* A warning is a failure too: another decoder then says what is wrong with the file. */
static void on_message(j_common_ptr info, int level) {
    if (level < 0) fail(info);
}

typedef struct {
    const unsigned char *data;
    size_t size;
    unsigned char *out; /* height x width x 3, contiguous */
    int32_t height, width; /* of the image, divided by `reduction` and rounded up */
    int32_t top, left, bottom, right;
    unsigned reduction; /* 1, 2, 4 or 8 */
} job;

/* Whether simplejpeg reduces images with these numbers of samples too. With some others, libjpeg-turbo gives parts of a
 * reduced image other colors than the whole has. */
static int is_usual(const jpeg_component_info *parts) {
    int across = parts[0].h_samp_factor, down = parts[0].v_samp_factor;
    int chroma_across = parts[1].h_samp_factor, chroma_down = parts[1].v_samp_factor;
    if (parts[2].h_samp_factor != chroma_across || parts[2].v_samp_factor != chroma_down) return 0;
    if (chroma_across == across && chroma_down == down) return across * down <= 3;
    if (chroma_across * chroma_down == 1) return across != 3 && down != 3 && across * down <= 4;
    return across == 2 && down == 2 && chroma_across * chroma_down == 2;
}

/* Decodes the part into its place in `out`. Returns 0 if the file is damaged, or is not of the stated size. */
static int decode(const job *job) {
    struct jpeg_decompress_struct info;
    error_manager errors;
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = fail;
    errors.base.emit_message = on_message;
    if (setjmp(errors.failed)) {
        jpeg_destroy_decompress(&info);
        return 0;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, job->data, (unsigned long)job->size);
    jpeg_read_header(&info, TRUE);
    info.out_color_space = JCS_RGB;
    info.scale_num = 1;
    info.scale_denom = job->reduction;
    jpeg_calc_output_dimensions(&info);
    if ((int32_t)info.output_width != job->width || (int32_t)info.output_height != job->height || info.num_components != 3) fail((j_common_ptr)&info);
    if (job->reduction > 1 && !is_usual(info.comp_info)) fail((j_common_ptr)&info);
    jpeg_start_decompress(&info);
    int32_t top = job->top > MARGIN ? job->top - MARGIN : 0;
    int32_t bottom = job->bottom < job->height - MARGIN ? job->bottom + MARGIN : job->height;
    JDIMENSION left = job->left > MARGIN ? (JDIMENSION)(job->left - MARGIN) : 0;
    JDIMENSION columns = (JDIMENSION)(job->right < job->width - MARGIN ? job->right + MARGIN : job->width) - left;
    if (columns < info.output_width) jpeg_crop_scanline(&info, &left, &columns); /* moves `left` to the edge of a block */
    if (top > 0 && jpeg_skip_scanlines(&info, (JDIMENSION)top) != (JDIMENSION)top) fail((j_common_ptr)&info);
    size_t row = (size_t)job->width * 3;
    while ((int32_t)info.output_scanline < bottom) {
        JSAMPROW rows[ROWS];
        int32_t left_over = bottom - (int32_t)info.output_scanline, count = left_over < ROWS ? left_over : ROWS;
        for (int32_t i = 0; i < count; i++) rows[i] = job->out + (info.output_scanline + (size_t)i) * row + (size_t)left * 3;
        if (jpeg_read_scanlines(&info, rows, (JDIMENSION)count) == 0) fail((j_common_ptr)&info);
    }
    if ((int32_t)info.output_scanline == job->height) jpeg_finish_decompress(&info); /* warns of what is missing */
    jpeg_destroy_decompress(&info);
    return 1;
}

/* decode(data, out, top, left, bottom, right, reduction=1) */
static PyObject *decode_part(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 6 && count != 7) {
        PyErr_Format(PyExc_TypeError, "decode takes 6 or 7 arguments, got %zd", count);
        return NULL;
    }
    long box[4], reduction = 1;
    for (Py_ssize_t i = 2; i < count; i++) {
        long number = PyLong_AsLong(arguments[i]);
        if (number == -1 && PyErr_Occurred()) return NULL;
        *(i < 6 ? &box[i - 2] : &reduction) = number;
    }
    if (reduction != 1 && reduction != 2 && reduction != 4 && reduction != 8) {
        PyErr_Format(PyExc_ValueError, "expected a reduction of 1, 2, 4 or 8, got %ld", reduction);
        return NULL;
    }
    PyObject *result = NULL;
    Py_buffer data, out;
    if (PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE) < 0) return NULL;
    if (PyObject_GetBuffer(arguments[1], &out, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    if (out.ndim != 3 || out.itemsize != 1 || out.shape[2] != 3 || out.shape[0] > 65535 || out.shape[1] > 65535) {
        PyErr_SetString(PyExc_ValueError, "expected an array of height x width x 3 bytes, of at most 65535 rows and columns");
        goto done;
    }
    if (box[0] < 0 || box[1] < 0 || box[0] >= box[2] || box[1] >= box[3] || box[2] > out.shape[0] || box[3] > out.shape[1]) {
        PyErr_Format(PyExc_ValueError, "expected a box within %zd x %zd, got rows %ld to %ld and columns %ld to %ld",
                     out.shape[0], out.shape[1], box[0], box[2], box[1], box[3]);
        goto done;
    }
    job job = {data.buf, (size_t)data.len, out.buf, (int32_t)out.shape[0], (int32_t)out.shape[1],
               (int32_t)box[0], (int32_t)box[1], (int32_t)box[2], (int32_t)box[3], (unsigned)reduction};
    int whole;
    Py_BEGIN_ALLOW_THREADS
    whole = decode(&job);
    Py_END_ALLOW_THREADS
    result = PyBool_FromLong(whole);
done:
    PyBuffer_Release(&out);
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef methods[] = {
    {"decode", (PyCFunction)(void (*)(void))decode_part, METH_FASTCALL,
     "decode(data, out, top, left, bottom, right, reduction=1): decode a part of a JPEG, and some pixels around it, into its\n"
     "place in an array of the whole image, height x width x 3. A reduction of 2, 4 or 8 divides the sides of the image, which\n"
     "are rounded up; the part is in pixels of the result. Returns whether the file could be read and has this size."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "augreg_native._jpeg",
    .m_doc = "Decodes a part of a JPEG.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__jpeg(void) { return PyModuleDef_Init(&definition); }

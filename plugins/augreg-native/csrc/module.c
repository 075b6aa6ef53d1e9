/* The Python module: `run` and `isa`. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "program.h"

/* An image of a buffer: height x width x channels of bytes or floats, with any strides. */
static int image_of(const Py_buffer *buffer, augreg_image *image) {
    const char *format = buffer->format ? buffer->format : "B";
    int floats = format[0] == 'f' && format[1] == '\0', bytes = format[0] == 'B' && format[1] == '\0';
    if (buffer->ndim != 3 || !(floats || bytes)) {
        PyErr_Format(PyExc_ValueError, "expected height x width x channels of uint8 or float32, got %d axes of format %s",
                     buffer->ndim, format);
        return -1;
    }
    for (int axis = 0; axis < 3; axis++) {
        Py_ssize_t most = axis == 2 ? AUGREG_MOST_CHANNELS : INT32_MAX;
        if (buffer->shape[axis] < 1 || buffer->shape[axis] > most) {
            PyErr_Format(PyExc_ValueError, "expected a length of 1 to %zd of axis %d, got %zd", most, axis,
                         buffer->shape[axis]);
            return -1;
        }
    }
    if (buffer->shape[1] > INT32_MAX / buffer->shape[2]) {
        PyErr_Format(PyExc_ValueError, "expected rows of at most %d values, got %zd x %zd", INT32_MAX, buffer->shape[1],
                     buffer->shape[2]);
        return -1;
    }
    image->data = buffer->buf;
    image->height = (int32_t)buffer->shape[0];
    image->width = (int32_t)buffer->shape[1];
    image->channels = (int32_t)buffer->shape[2];
    image->floats = floats;
    /* an axis of length one may have any stride */
    image->pixel = image->width > 1 ? buffer->strides[1] : floats ? 4 : image->channels;
    image->row = image->height > 1 ? buffer->strides[0] : image->pixel * image->width;
    image->channel = image->channels > 1 ? buffer->strides[2] : floats ? image->row * image->height : 1;
    return 0;
}

/* run(program, image, out, isa): see augreg_native/program.py. */
static PyObject *run(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_Format(PyExc_TypeError, "run takes 4 arguments, got %zd", count);
        return NULL;
    }
    const char *isa = PyUnicode_AsUTF8AndSize(arguments[3], NULL);
    if (isa == NULL) return NULL;
    const augreg_table *table = augreg_choose(isa);
    if (table == NULL) {
        PyErr_Format(PyExc_ValueError, "this build or this processor has no instruction set %s", isa);
        return NULL;
    }
    PyObject *result = NULL;
    Py_buffer buffers[3] = {{0}};
    static const int flags[3] = {PyBUF_SIMPLE, PyBUF_STRIDES | PyBUF_FORMAT, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE};
    augreg_image image, out;
    int held = 0;
    for (; held < 3; held++)
        if (PyObject_GetBuffer(arguments[held], &buffers[held], flags[held]) < 0) goto done;
    if (image_of(&buffers[1], &image) < 0 || image_of(&buffers[2], &out) < 0) goto done;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = augreg_run(table, buffers[0].buf, (size_t)buffers[0].len, &image, &out);
    Py_END_ALLOW_THREADS
    if (status == AUGREG_OK) {
        result = Py_NewRef(Py_None);
    } else if (status == AUGREG_NO_MEMORY) {
        PyErr_NoMemory();
    } else {
        PyErr_SetString(PyExc_ValueError, "the program does not fit the images: this is a defect of augreg-native");
    }
done:
    while (held > 0) PyBuffer_Release(&buffers[--held]);
    return result;
}

/* isa(name): the name of the instruction set that `run` takes for this name; "" is the fastest one. */
static PyObject *isa(PyObject *module, PyObject *name) {
    (void)module;
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (text == NULL) return NULL;
    const augreg_table *table = augreg_choose(text);
    if (table == NULL) return Py_NewRef(Py_None);
    return PyUnicode_FromString(table->name);
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, "run(program, image, out, isa): run a program."},
    {"isa", isa, METH_O, "isa(name): the instruction set taken for a name, '' being the fastest; None if there is none."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "augreg_native._native",
    .m_doc = "The compiled kernels of augreg.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }

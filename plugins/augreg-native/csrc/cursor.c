/* The Python module `_cursor`: the class Cursor, with the numbers of augreg.rng.Cursor in a tenth of the time, and the function
   `read_words`, with the words of many streams at once.

   It is a subclass of that class, and has what reads words: from blocks of Philox that it computes itself, where the base class
   sets the state of a generator of NumPy. It also has the draws that steps make most. They serve plain ints and floats, given by
   position; for anything else they call the method of the base class, which reads its words here and raises its own errors. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "philox.h"

#include <math.h>

enum { MANY = 32 };                          /* numbers from which on NumPy sorts faster */
static const long long EXACT = 1LL << 53;    /* integers up to this one are floats too */
static const double TWO_PI = 2.0 * 3.141592653589793;

/* What an object has after the fields of its base class; all zero before `__init__`. */
typedef struct {
    uint64_t key[2], counter[4]; /* of the block that `words` are */
    uint64_t words[4];
    uint64_t first_block; /* the counter of the block before the first */
    uint64_t number;      /* of the next word of the stream */
    uint64_t block;       /* the number of the block that `words` are, from 1; 0 for none */
    int open;
} stream;

enum { SEED, USE, EPOCH, INDEX, VIEW, FIELDS }; /* the fields of an address; USE is its domain */

/* Set once, when the module is imported. */
static Py_ssize_t base_size;
static PyObject *address_fields[FIELDS]; /* their names */

static stream *stream_of(PyObject *self) { return (stream *)((char *)self + base_size); }

/* Raise what a closed cursor of the base class raises. */
static int refuse(void) {
    PyObject *module = PyImport_ImportModule("augreg.rng");
    PyObject *message = module == NULL ? NULL : PyObject_GetAttrString(module, "CLOSED");
    if (message != NULL) PyErr_SetObject(PyExc_RuntimeError, message);
    Py_XDECREF(module);
    Py_XDECREF(message);
    return -1;
}

static uint64_t word_at(stream *from, uint64_t number) {
    uint64_t block = (number >> 2) + 1; /* NumPy counts up before it computes a block */
    if (block != from->block) {
        from->counter[0] = from->first_block + block;
        augreg_philox(from->key, from->counter, from->words);
        from->block = block;
    }
    return from->words[number & 3];
}

/* The next word. Returns -1 and raises an error if the cursor is closed. */
static int next_word(PyObject *self, uint64_t *word) {
    stream *from = stream_of(self);
    if (!from->open) return refuse();
    *word = word_at(from, from->number++);
    return 0;
}

static double unit_of(uint64_t word) { return (double)(word >> 11) * 0x1p-53; }

static int next_unit(PyObject *self, double *unit) {
    uint64_t word;
    if (next_word(self, &word) < 0) return -1;
    *unit = unit_of(word);
    return 0;
}

/* Whether an argument is a plain float, or a plain int that a float can be; its value. */
static int is_plain(PyObject *given, double *value) {
    if (PyFloat_CheckExact(given)) {
        *value = PyFloat_AsDouble(given);
        return 1;
    }
    if (!PyLong_CheckExact(given)) return 0;
    int overflow;
    long long whole = PyLong_AsLongLongAndOverflow(given, &overflow);
    if (overflow || whole > EXACT || whole < -EXACT) return 0;
    *value = (double)whole;
    return 1;
}

/* The arguments of a method with keywords. */
#define ARGUMENTS PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords

/* Call the method of the base class. */
static PyObject *by_base(const char *name, ARGUMENTS) {
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
    PyObject *result = NULL, *method = NULL, *values = PyTuple_New(count + 1), *by_name = PyDict_New();
    PyObject *module = PyImport_ImportModule("augreg.rng");
    PyObject *base = module == NULL ? NULL : PyObject_GetAttrString(module, "Cursor");
    if (base == NULL || values == NULL || by_name == NULL) goto done;
    if ((method = PyObject_GetAttrString(base, name)) == NULL) goto done;
    PyTuple_SetItem(values, 0, Py_NewRef(self));
    for (Py_ssize_t i = 0; i < count; i++) PyTuple_SetItem(values, i + 1, Py_NewRef(arguments[i]));
    for (Py_ssize_t i = 0; i < named; i++)
        if (PyDict_SetItem(by_name, PyTuple_GetItem(keywords, i), arguments[count + i]) < 0) goto done;
    result = PyObject_Call(method, values, by_name);
done:
    Py_XDECREF(module);
    Py_XDECREF(base);
    Py_XDECREF(method);
    Py_XDECREF(values);
    Py_XDECREF(by_name);
    return result;
}

static PyObject *bits(PyObject *self, PyObject *unused) {
    (void)unused;
    uint64_t word;
    return next_word(self, &word) < 0 ? NULL : PyLong_FromUnsignedLongLong(word);
}

static PyObject *bernoulli(ARGUMENTS) {
    double p, unit;
    if (count != 1 || keywords != NULL || !is_plain(arguments[0], &p))
        return by_base("bernoulli", self, arguments, count, keywords);
    if (next_unit(self, &unit) < 0) return NULL;
    return PyBool_FromLong(unit < p); /* a unit is at least 0 and below 1, whatever p is */
}

static PyObject *uniform(ARGUMENTS) {
    double low, high, unit;
    if (count != 2 || keywords != NULL || !is_plain(arguments[0], &low) || !is_plain(arguments[1], &high))
        return by_base("uniform", self, arguments, count, keywords);
    return next_unit(self, &unit) < 0 ? NULL : PyFloat_FromDouble(low + (high - low) * unit);
}

static PyObject *integers(ARGUMENTS) {
    double stop, unit;
    if (count != 1 || keywords != NULL || !PyLong_CheckExact(arguments[0]) || !is_plain(arguments[0], &stop) || stop < 1.0)
        return by_base("integers", self, arguments, count, keywords);
    return next_unit(self, &unit) < 0 ? NULL : PyLong_FromLongLong((long long)(unit * stop));
}

static PyObject *normal(ARGUMENTS) {
    double mean = 0.0, std = 1.0, first, second;
    if (count > 2 || keywords != NULL || (count > 0 && !is_plain(arguments[0], &mean)) ||
        (count > 1 && !is_plain(arguments[1], &std)))
        return by_base("normal", self, arguments, count, keywords);
    if (next_unit(self, &first) < 0 || next_unit(self, &second) < 0) return NULL;
    return PyFloat_FromDouble(mean + std * sqrt(-2.0 * log(1.0 - first)) * cos(TWO_PI * second));
}

/* The order that sorts `size` keys, of which earlier ones come first where two are equal. */
static void sort(const uint64_t *keys, int size, int *order) {
    for (int i = 0; i < size; i++) {
        int at = i;
        for (; at > 0 && keys[order[at - 1]] > keys[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

static PyObject *permutation(ARGUMENTS) {
    double size = -1.0;
    if (count != 1 || keywords != NULL || !PyLong_CheckExact(arguments[0]) || !is_plain(arguments[0], &size) || size < 0.0 ||
        size > MANY)
        return by_base("permutation", self, arguments, count, keywords);
    uint64_t keys[MANY];
    int order[MANY];
    for (int i = 0; i < (int)size; i++)
        if (next_word(self, &keys[i]) < 0) return NULL;
    sort(keys, (int)size, order);
    PyObject *result = PyList_New((Py_ssize_t)size);
    for (int i = 0; result != NULL && i < (int)size; i++) {
        PyObject *place = PyLong_FromLong(order[i]);
        if (place == NULL || PyList_SetItem(result, i, place) < 0) Py_CLEAR(result);
    }
    return result;
}

static PyObject *random_(PyObject *self, PyObject *unused) {
    (void)unused;
    double unit;
    return next_unit(self, &unit) < 0 ? NULL : PyFloat_FromDouble(unit);
}

static PyObject *sign(PyObject *self, PyObject *unused) {
    (void)unused;
    uint64_t word;
    return next_word(self, &word) < 0 ? NULL : PyLong_FromLong(word >> 63 ? 1 : -1);
}

/* A count of words: a number that is not negative. */
static Py_ssize_t words_asked(PyObject *given) {
    Py_ssize_t words = PyNumber_AsSsize_t(given, PyExc_OverflowError);
    if (words < 0 && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "expected a number of words, got %zd", words);
    return words;
}

static PyObject *ahead(PyObject *self, PyObject *given) {
    stream *from = stream_of(self);
    if (!from->open) return refuse(), NULL;
    Py_ssize_t words = words_asked(given);
    if (words < 0) return NULL;
    if (words > PY_SSIZE_T_MAX / 8) return PyErr_NoMemory();
    PyObject *result = NULL, *memory = PyByteArray_FromStringAndSize(NULL, 8 * words), *numpy = PyImport_ImportModule("numpy");
    if (memory != NULL && numpy != NULL) {
        uint64_t *to = (uint64_t *)(void *)PyByteArray_AsString(memory);
        for (Py_ssize_t i = 0; i < words; i++) to[i] = word_at(from, from->number + (uint64_t)i);
        result = PyObject_CallMethod(numpy, "frombuffer", "Os", memory, "uint64");
    }
    Py_XDECREF(memory);
    Py_XDECREF(numpy);
    return result;
}

static PyObject *skip(PyObject *self, PyObject *given) {
    stream *from = stream_of(self);
    if (!from->open) return refuse(), NULL;
    Py_ssize_t words = words_asked(given);
    if (words < 0) return NULL;
    from->number += (uint64_t)words;
    return Py_NewRef(Py_None);
}

static PyObject *close_(PyObject *self, PyObject *unused) {
    (void)unused;
    stream_of(self)->open = 0;
    return Py_NewRef(Py_None);
}

/* Read an integer from 0 to 2^64 - 1. */
static int read_word(PyObject *given, uint64_t *word) {
    *word = PyLong_AsUnsignedLongLong(given);
    return *word == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

static int init(PyObject *self, PyObject *arguments, PyObject *by_name) {
    static char *names[] = {"address", "step", "number", NULL};
    PyObject *address, *step, *number = NULL;
    stream *made = stream_of(self);
    uint64_t fields[FIELDS];
    if (!PyArg_ParseTupleAndKeywords(arguments, by_name, "OO|O:Cursor", names, &address, &step, &number)) return -1;
    for (int i = 0; i < FIELDS; i++) {
        PyObject *value = PyObject_GetAttr(address, address_fields[i]);
        int failed = value == NULL || read_word(value, &fields[i]) < 0;
        Py_XDECREF(value);
        if (failed) return -1;
    }
    made->number = 0;
    if (read_word(step, &made->counter[1]) < 0 || (number != NULL && read_word(number, &made->number) < 0)) return -1;
    made->key[0] = fields[SEED];
    made->key[1] = fields[USE];
    made->counter[2] = fields[INDEX];
    made->counter[3] = fields[EPOCH];
    made->first_block = fields[VIEW] << 32;
    made->block = 0;
    made->open = 1;
    return 0;
}

#define WITH_KEYWORDS(method) (PyCFunction)(void (*)(void))method, METH_FASTCALL | METH_KEYWORDS, NULL

static PyMethodDef methods[] = {
    {"bits", bits, METH_NOARGS, NULL},
    {"bernoulli", WITH_KEYWORDS(bernoulli)},
    {"random", random_, METH_NOARGS, NULL},
    {"uniform", WITH_KEYWORDS(uniform)},
    {"integers", WITH_KEYWORDS(integers)},
    {"sign", sign, METH_NOARGS, NULL},
    {"normal", WITH_KEYWORDS(normal)},
    {"permutation", WITH_KEYWORDS(permutation)},
    {"ahead", ahead, METH_O, NULL},
    {"skip", skip, METH_O, NULL},
    {"close", close_, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The random numbers of one step for one image: those of augreg.rng.Cursor."},
    {Py_tp_init, init},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "augreg_native._cursor.Cursor",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

/* Words `first` to `first + count - 1` of each stream, one after the other, `apart` words from one another. */
static void read_stream(const uint64_t key[2], uint64_t counter[4], uint64_t first, size_t count, uint64_t *out, size_t apart) {
    uint64_t first_block = counter[0], words[4];
    for (size_t done = 0; done < count;) {
        uint64_t number = first + done;
        counter[0] = first_block + (number >> 2) + 1; /* NumPy counts up before it computes a block */
        augreg_philox(key, counter, words);
        for (size_t i = number & 3; i < 4 && done < count; i++, done++) out[done * apart] = words[i];
    }
}

/* The parts of the addresses of `images` images, a row of that many words each, in the order of the fields above. */
static void read_streams(const uint64_t *parts, size_t images, const uint64_t *steps, size_t streams, uint64_t first, size_t count,
                         uint64_t *out) {
    const uint64_t *seed = parts + SEED * images, *use = parts + USE * images, *epoch = parts + EPOCH * images;
    const uint64_t *index = parts + INDEX * images, *view = parts + VIEW * images;
    for (size_t step = 0; step < streams; step++, out += count * images)
        for (size_t i = 0; i < images; i++) {
            uint64_t key[2] = {seed[i], use[i]}, counter[4] = {view[i] << 32, steps[step], index[i], epoch[i]};
            read_stream(key, counter, first, count, out + i, images);
        }
}

enum { PARTS, STEPS, OUT, BUFFERS };

static PyObject *read_words(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    static const int flags[BUFFERS] = {PyBUF_SIMPLE, PyBUF_SIMPLE, PyBUF_WRITABLE}; /* refused unless they are contiguous */
    uint64_t first, count;
    if (given != BUFFERS + 2) {
        PyErr_Format(PyExc_TypeError, "expected parts, steps, out, first and count, got %zd arguments", given);
        return NULL;
    }
    if (read_word(arguments[BUFFERS], &first) < 0 || read_word(arguments[BUFFERS + 1], &count) < 0) return NULL;
    Py_buffer buffers[BUFFERS];
    PyObject *result = NULL;
    int held = 0;
    for (; held < BUFFERS; held++)
        if (PyObject_GetBuffer(arguments[held], &buffers[held], flags[held]) < 0) goto done;
    size_t words[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) words[i] = (size_t)buffers[i].len / 8;
    size_t images = words[PARTS] / FIELDS, streams = words[STEPS];
    unsigned __int128 wanted = (unsigned __int128)images * streams;
    int whole = buffers[PARTS].len % (8 * FIELDS) == 0 && buffers[STEPS].len % 8 == 0 && buffers[OUT].len % 8 == 0;
    if (!whole || count > SIZE_MAX / 8 || wanted > SIZE_MAX / 8 || wanted * count != words[OUT]) {
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit: parts (5, N), steps (S,) and out (S, count, N) of 64-bit words");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    read_streams(buffers[PARTS].buf, images, buffers[STEPS].buf, streams, first, (size_t)count, buffers[OUT].buf);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    while (held > 0) PyBuffer_Release(&buffers[--held]);
    return result;
}

static PyMethodDef functions[] = {
    {"read_words", (PyCFunction)(void (*)(void))read_words, METH_FASTCALL,
     "read_words(parts, steps, out, first, count)\n--\n\nFill `out`, (S, count, N) words, as augreg.columns.philox.words does."},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module) {
    static const char *const names[FIELDS] = {"seed", "domain", "epoch", "index", "view"};
    for (int i = 0; i < FIELDS; i++)
        if ((address_fields[i] = PyUnicode_InternFromString(names[i])) == NULL) return -1;
    PyObject *rng = PyImport_ImportModule("augreg.rng"), *type = NULL;
    PyObject *base = rng == NULL ? NULL : PyObject_GetAttrString(rng, "Cursor");
    PyObject *size = base == NULL ? NULL : PyObject_GetAttrString(base, "__basicsize__");
    if (size != NULL && (base_size = PyLong_AsSsize_t(size)) > 0) {
        spec.basicsize = (int)(base_size + (Py_ssize_t)sizeof(stream));
        type = PyType_FromModuleAndSpec(module, &spec, base);
    }
    int failed = type == NULL || PyModule_AddObjectRef(module, "Cursor", type) < 0;
    Py_XDECREF(rng);
    Py_XDECREF(base);
    Py_XDECREF(size);
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "augreg_native._cursor",
    .m_doc = "The random numbers of steps.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__cursor(void) { return PyModuleDef_Init(&definition); }

/* The choice of an instruction set by what the processor has. */

#include "program.h"

#include <string.h>

extern const augreg_table augreg_table_plain;
#ifdef AUGREG_HAVE_avx2
extern const augreg_table augreg_table_avx2;
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#endif
#ifdef AUGREG_HAVE_avx512
extern const augreg_table augreg_table_avx512;
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
}
#endif

const augreg_table *augreg_choose(const char *name) {
    int any = name[0] == '\0';
#ifdef AUGREG_HAVE_avx512
    if ((any || strcmp(name, "avx512") == 0) && has_avx512()) return &augreg_table_avx512;
#endif
#ifdef AUGREG_HAVE_avx2
    if ((any || strcmp(name, "avx2") == 0) && has_avx2()) return &augreg_table_avx2;
#endif
    return any || strcmp(name, "plain") == 0 ? &augreg_table_plain : NULL;
}

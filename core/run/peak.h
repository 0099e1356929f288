/* The peak of a machine's cores: single-precision arithmetic that touches no memory. */
#ifndef MGPT_RUN_PEAK_H
#define MGPT_RUN_PEAK_H

#include <microgpt/status.h>

/* Floating-point operations a second of `threads` threads that each do nothing but multiply-adds of
 * whole vectors in registers, two operations each, in the widest instruction set of this processor
 * that the compiler was asked for (AVX-512, AVX2 with FMA, else the baseline). The best of a few
 * rounds that take `seconds` together: a shared machine only ever shows less. No program of that
 * many threads computes faster in this format. [main] */
enum mgpt_status mgpt_measure_peak(unsigned threads, double seconds, double *flops,
                                   struct mgpt_error *error);

#endif

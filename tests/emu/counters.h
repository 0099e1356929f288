/* Extension "microgpt.emu-counters/1" of backend cuda_emu: what the host asked the device for so
 * far, and how often threads waited for each other there, for tests. Work that is taken down while
 * capturing counts as `captured` alone, and is not counted again when its graph is launched. */
#ifndef EMU_COUNTERS_H
#define EMU_COUNTERS_H

#define EMU_COUNTERS "microgpt.emu-counters/1"

struct emu_counters {
    unsigned long kernels;  /* launches of kernels, those of programs among them */
    unsigned long programs; /* launches of kernels compiled at run time */
    unsigned long products; /* calls of cuBLASLt */
    unsigned long tensor;   /* calls of multiply() by kernels, a warp each: tensor cores at work */
    unsigned long copies;
    unsigned long graphs;   /* launches of graphs */
    unsigned long captured; /* launches, products and copies that were taken down */
    unsigned long waits;    /* of the host for the device */
    unsigned long barriers; /* that all threads of a block met at, or of the grid */
    unsigned long casts;    /* kernels "cast" that ran, those of graphs among them */
};

#endif

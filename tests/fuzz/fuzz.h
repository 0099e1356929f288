/* What the fuzz targets share. Each parses the bytes, must not crash, and aborts when what was
 * accepted does not hold together. Built for libFuzzer by `make fuzz`; check_fuzz replays the
 * corpus through the same functions. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* 1: accepted, 0: refused, for reasons that `error` gives. */
int fuzz_safetensors(const uint8_t *data, size_t size);
int fuzz_config(const uint8_t *data, size_t size);
int fuzz_tokenizer(const uint8_t *data, size_t size);
int fuzz_ini(const uint8_t *data, size_t size);
int fuzz_bpe(const uint8_t *data, size_t size); /* where utf8proc is */
int fuzz_manifest(const uint8_t *data, size_t size);

#define FUZZ_MUST(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* libFuzzer's entry, in a program of one target. */
#ifdef FUZZ_ALONE
#define FUZZ_ENTRY(name)                                                                           \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);                                  \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                   \
    {                                                                                              \
        fuzz_##name(data, size);                                                                   \
        return 0;                                                                                  \
    }
#else
#define FUZZ_ENTRY(name)
#endif

#endif

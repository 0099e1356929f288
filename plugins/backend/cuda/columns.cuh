/* Sums over rows, for gradients of what every row shares (biases, gains). */
#ifndef MGPT_CUDA_COLUMNS_CUH
#define MGPT_CUDA_COLUMNS_CUH

#include "formats.cuh"

/* out[c] += sum over rows n of dy[n,c];  gain[c] += sum of dy[n,c] (s[n,c] - mean[n]) rstd[n].
 * Either may be NULL; s and stats (N,2) are read with gain alone. (columns.cu) */
enum mgpt_status cuda_column_sums(struct mgpt_device *device, int64_t N, int64_t C,
                                  struct cuda_mixed dy, float *out, struct cuda_mixed s,
                                  const float *stats, float *gain, struct mgpt_error *error);

#endif

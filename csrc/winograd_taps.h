/* How the Winograd convolutions' transforms read weights: as vectors over columns. winograd_transform.c and
 * bf16_winograd_transform.c include it for their template. */
#ifndef CNN_WINOGRAD_TAPS_H
#define CNN_WINOGRAD_TAPS_H

#include "winograd.h"

/* OIHW weights of some channels as [channel][9][width]; only the `columns` real ones are written. Rows of four columns
 * are far apart, too short for the processor to see what comes: the weights of as many channels more are fetched. */
static void winograd_taps(const float *weight, int64_t channels, int64_t columns, int64_t channel_step,
                          int64_t column_step, int64_t width, float *taps) {
    int64_t run = channel_step == 9 ? channels * 9 : 9; /* floats of a column that lie together */
    for (int64_t column = 0; column < columns; column += 4) {
        const float *from = weight + column * column_step;
        float *to = taps + column;
        int64_t real = CNN_MIN(4, columns - column);
        for (int64_t row = 0; row < channels * 9; row += run, from += run / 9 * channel_step, to += run * width) {
            const float *later = from + channels * channel_step;
            int64_t i = 0;
            for (; real == 4 && i + 4 <= run; i += 4) {
                __builtin_prefetch(later + (run == 9 ? 4 * i : i / 4 % 4 * column_step + i / 16 * 16));
                cnn_transpose4(from + i, column_step, to + i * width, width);
            }
            for (; i < run; i++)
                for (int64_t j = 0; j < real; j++) to[i * width + j] = from[j * column_step + i];
        }
    }
}

#endif

/* What becomes of a vector of sums of bytes: included by the int8 templates after bytes.h, again for every instruction
 * set; hence no include guard. */

/* As cnn_int8_finished says it; `part` lanes are real, all where that is 0. plain: bytes are wanted, with nothing added. */
CNN_INLINE void ISA(finish_vector)(const cnn_requantise *f, const bool plain, vi sum, vi bias, vf multiplier, vf low,
                                   vf high, uint8_t *y, int64_t at, int64_t part) {
    vf real = ISA(real)(sum + bias);
    vi result;
    if (plain) {
        result = ISA(nearest)(vmin(vmax(real * multiplier, low), high)) + ISA(iset)((int32_t)f->zero);
    } else if (f->real) {
        vstore_lanes(f->real + at, real * multiplier, part);
        return;
    } else {
        const vf most = vset(CNN_INT8_LARGEST), parts = real * (multiplier * vset(CNN_INT8_PARTS));
        result = ISA(nearest)(vmin(vmax(parts, -most), most));
        /* What does not depend on the other byte is one constant: both zeros, and the half that rounds. */
        int32_t fixed = (int32_t)(f->zero * CNN_INT8_PARTS + CNN_INT8_PARTS / 2 - f->add_zero * f->add_multiplier);
        result += ISA(bytes_load)(f->add + at, part) * ISA(iset)((int32_t)f->add_multiplier) + ISA(iset)(fixed);
        result = result >> 12;
        result = ISA(imin)(ISA(imax)(result, ISA(iset)((int32_t)f->least)), ISA(iset)((int32_t)f->most));
    }
    ISA(bytes_store)(y + at, result, part);
}

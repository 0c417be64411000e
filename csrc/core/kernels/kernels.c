/* kernels.c - compiled once per instruction set with -DPN_ISA=name and the flags of that set;
 * exports only pn_kernels_<name>. */
#include "kernel_types.h"
/* vectors are passed between static functions only */
#pragma GCC diagnostic ignored "-Wpsabi"

/* the tables */
#include "activations.h"
#include "rowwise.h"
#include "losses.h"
#include "optimizers.h"
#include "formula_ops.h"

#define R    float
#define I    int32_t
#define SFX  f32
#define BITS 32
#define K(c) c##f
#include "vector.h"
#include "vmath.h"
#include "normal.h"
#include "elementary.h"
#include "lanes.h"
#include "row_blocks.h"
#include "activations.h"
#include "rowwise.h"
#include "loops.h"
#include "formula_ops.h"
#include "formula_loops.h"
#include "resample.h"
#include "loss_rows.h"
#include "losses.h"
#include "optimizers.h"
#include "optimizer_loops.h"
#include "tile.h"
#include "gemv.h"
#include "gemm.h"
#include "conv.h"
#include "pooling.h"
#include "tensor_rules.h"
#include "norm.h"
#include "norm_columns.h"
#include "response.h"
#include "probe.h"
#include "noise.h"
#undef R
#undef I
#undef SFX
#undef BITS
#undef K

#define R    double
#define I    int64_t
#define SFX  f64
#define BITS 64
#define K(c) c
#include "vector.h"
#include "vmath.h"
#include "normal.h"
#include "elementary.h"
#include "lanes.h"
#include "row_blocks.h"
#include "activations.h"
#include "rowwise.h"
#include "loops.h"
#include "formula_ops.h"
#include "formula_loops.h"
#include "resample.h"
#include "loss_rows.h"
#include "losses.h"
#include "optimizers.h"
#include "optimizer_loops.h"
#include "tile.h"
#include "gemv.h"
#include "gemm.h"
#include "conv.h"
#include "pooling.h"
#include "tensor_rules.h"
#include "norm.h"
#include "norm_columns.h"
#include "response.h"
#include "probe.h"
#include "noise.h"

#define ACTIVATION(t, f) { forward_##f##_##t, derivative_##f##_##t, backward_##f##_##t },
#define ROWWISE(t, f)    { forward_rows_##f##_##t, backward_rows_##f##_##t },
#define LOSS(t, f)       loss_##f##_##t,
#define UPDATE(t, f)     update_##f##_##t,
#define FORMULA_OP(t, f) block_##f##_##t,
#define TENSOR_RULE(t, f)      { tensor_##f##_##t, work_##f##_##t },
#define TYPED(t) \
    static const pn_activation_kernels activations_##t[] = { PN_ACTIVATIONS( \
        ROW_##t##_ACTIVATION) }; \
    static const pn_rowwise_kernels rowwise_##t[] = { PN_ROWWISE(ROW_##t##_ROWWISE) }; \
    static pn_loss_fn *const losses_##t[] = { PN_LOSSES(ROW_##t##_LOSS) }; \
    static pn_update_fn *const updates_##t[] = { PN_OPTIMIZERS(ROW_##t##_UPDATE) }; \
    static const pn_tensor_rule_kernels tensor_rules_##t[] = { PN_TENSOR_OPTIMIZERS( \
        ROW_##t##_TENSOR_RULE) }; \
    static pn_formula_op_fn *const formula_ops_##t[] = { PN_FORMULA_OPS(ROW_##t##_FORMULA_OP) \
        PN_FORMULA_INTERNAL_OPS(ROW_##t##_FORMULA_OP) PN_FORMULA_PAIRS(ROW_##t##_FORMULA_OP) }; \
    static const pn_norm_kernels norm_##t = { norm_moments_##t,    norm_apply_##t, \
                                              norm_sums_##t,       norm_back_##t, \
                                              columns_moments_##t, columns_apply_##t, \
                                              columns_sums_##t,    columns_back_##t, \
                                              needs_rescaling_##t,          scale_in_range_##t, \
                                              rescaled_moments_##t,     response_apply_##t, \
                                              response_back_##t }; \
    static const pn_probe_kernels probe_##t = { count_columns_##t, count_run_##t, sum_changes_##t, \
                                               first_nonfinite_##t };
#define ROW_f32_ACTIVATION(f, ...) ACTIVATION(f32, f)
#define ROW_f64_ACTIVATION(f, ...) ACTIVATION(f64, f)
#define ROW_f32_ROWWISE(f, ...)    ROWWISE(f32, f)
#define ROW_f64_ROWWISE(f, ...)    ROWWISE(f64, f)
#define ROW_f32_LOSS(f, ...)       LOSS(f32, f)
#define ROW_f64_LOSS(f, ...)       LOSS(f64, f)
#define ROW_f32_UPDATE(f, ...)     UPDATE(f32, f)
#define ROW_f64_UPDATE(f, ...)     UPDATE(f64, f)
#define ROW_f32_TENSOR_RULE(f, ...)      TENSOR_RULE(f32, f)
#define ROW_f64_TENSOR_RULE(f, ...)      TENSOR_RULE(f64, f)
#define ROW_f32_FORMULA_OP(f, ...) FORMULA_OP(f32, f)
#define ROW_f64_FORMULA_OP(f, ...) FORMULA_OP(f64, f)
TYPED(f32)
TYPED(f64)

#define STRING_(s) #s
#define STRING(s)  STRING_(s)
#define OF(t) \
    { \
        activations_##t, rowwise_##t, losses_##t, updates_##t, tensor_rules_##t, adjust_##t, \
            average_##t, power_sum_##t, gemm_##t, gemm_workspace_##t, gemm_packed_##t, \
            gemm_pack_##t, sum_rows_##t, add_##t, multiply_##t, transpose_##t, \
            { taps_##t,       depth_taps_##t,        depth_sums_##t,  panel_width_##t, \
              pack_taps_##t,  pack_rows_of_taps_##t, unpack_taps_##t, crop_##t, \
              plane_dots_##t, plane_sum_##t,         add_strided_##t }, \
            { max_pool_##t,       max_pool_back_##t, max_quads_##t, \
              max_quads_back_##t, index_values_##t,  mean_pool_##t, \
              mean_pool_back_##t, norm_pool_##t,     norm_pool_back_##t }, \
            &norm_##t, weighted_sum_##t, weighted_sum_back_##t, largest_##t, largest_back_##t, \
            slope_sum_##t, slope_rows_##t, philox_words, mask_##t, mask_pixels_##t, \
            mask_spans_##t, add_normal_##t, &probe_##t, formula_ops_##t \
    }
extern const pn_kernels CAT(pn_kernels, PN_ISA);
const pn_kernels CAT(pn_kernels, PN_ISA) = { STRING(PN_ISA),
                                             { [PN_F32] = OF(f32), [PN_F64] = OF(f64) } };

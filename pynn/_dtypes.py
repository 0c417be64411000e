"""Element types that NumPy does not have, widened to float32 without loss."""

from __future__ import annotations

from functools import cache

import numpy as np

from ._layer import Array


def from_bfloat16(bits: Array) -> Array:
    """Return bfloat16 numbers, given as their bits in uint16, as float32: they are its upper half."""
    wide = np.zeros((*bits.shape, 2), "<u2")
    wide[..., 1] = bits
    return wide.view("<f4")[..., 0]


def from_float8(bits: Array, code: str) -> Array:
    """Return 8-bit floats, given as their bits in uint8, as float32; ``code`` is F8_E4M3 or F8_E5M2."""
    return np.take(_float8(code), bits)


@cache
def _float8(code: str) -> Array:
    """Return the values of all 256 patterns: a sign, an exponent and a mantissa.

    E5M2 has infinities, as IEEE's types do. E4M3 has none, and a NaN only where all bits but the sign are set.
    """
    mantissa_bits = 3 if code == "F8_E4M3" else 2
    bias = 7 if code == "F8_E4M3" else 15
    bits = np.arange(256)
    exponent, mantissa = (bits & 127) >> mantissa_bits, bits & ((1 << mantissa_bits) - 1)
    scale = np.exp2(np.maximum(exponent, 1) - bias)
    value = (mantissa / 2.0**mantissa_bits + (exponent > 0)) * scale
    if code == "F8_E4M3":
        value[(bits & 127) == 127] = np.nan
    else:
        value[exponent == 31] = np.where(mantissa[exponent == 31] == 0, np.inf, np.nan)
    found: Array = np.where(bits & 128, -value, value).astype(np.float32)
    return found

"""Convert dtypes that NumPy lacks to float32 without loss, and tensors that NumPy does not accept."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def from_bfloat16(bits: Array) -> Array:
    """Return bfloat16 numbers, given as uint16 bit patterns, as float32, whose upper half they are."""
    wide = np.zeros((*bits.shape, 2), "<u2")
    wide[..., 1] = bits
    return wide.view("<f4")[..., 0]


def from_float8(bits: Array, code: str) -> Array:
    """Return 8-bit floats, given as uint8 bit patterns, as float32; ``code`` is F8_E4M3 or F8_E5M2."""
    return np.take(_FLOAT8(code), bits)


def _float8(code: str) -> Array:
    """Return the values of all 256 bit patterns, which consist of a sign, an exponent and a mantissa.

    E5M2 has infinities and NaNs as IEEE 754 types do. E4M3 has no infinities, and its only NaNs have all bits but the sign set.
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


_FLOAT8 = cache(_float8)


def widened(a: Array) -> Array:
    """Return an array of a 16-bit or 8-bit extension float (ml_dtypes, as JAX uses) as float32, and any other array unchanged."""
    is_extension = a.dtype.kind == "V" and a.dtype.names is None and a.dtype.type is not np.void
    return a.astype(np.float32) if is_extension and a.dtype.itemsize <= 2 else a


def from_tensor(value: Any, name: str) -> Any:
    """Return a PyTorch tensor as an array, and any other value unchanged.

    Covers tensors that NumPy rejects: those that require gradients, hold bfloat16 or 8-bit floats, or are on another device.
    """
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    try:
        plain = value.detach().cpu()
        try:
            return np.asarray(plain)
        except TypeError:
            return np.asarray(plain.float())
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        what = f"{getattr(value, 'dtype', '')} {getattr(value, 'layout', '')}".strip()
        raise TypeError(f"{name}: cannot read this tensor ({what}): {error}; pass a dense, real tensor on the CPU") from error

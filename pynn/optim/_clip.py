"""Gradient clipping outside an optimizer's step, as in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .. import _core
from .._graph import Parameter, listed


def _norm(members: Iterable[Parameter], power: float) -> float:
    """Return the norm of all gradients as one vector, scaled by the largest magnitude where powers could overflow or underflow."""
    total = float(np.sum([_core.power_sum(p.grad, 2.0) for p in members])) if power == 2 else 0.0
    if 1e-270 < total < np.inf:
        return float(np.sqrt(total))
    largest = float(np.max([_core.power_sum(p.grad, np.inf) for p in members], initial=0.0))
    if np.isinf(power) or not 0 < largest < np.inf:
        return largest
    return float(largest * np.sum([_core.power_sum(p.grad, power, largest) for p in members]) ** (1 / power))


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale gradients in place so that their total norm is at most ``max_norm``.

    ``g *= min(1, max_norm / (norm + 1e-6))``, as in PyTorch.

    Parameters
    ----------
    parameters : Parameter or iterable of Parameter
        The parameters whose ``grad`` is scaled.
    max_norm : float
        The largest norm allowed.
    norm_type : float
        The p of the p-norm; infinity for the largest element.
    error_if_nonfinite : bool
        Whether to raise RuntimeError if the norm is NaN or infinite.

    Returns
    -------
    float
        The norm before scaling.

    Raises
    ------
    ValueError
        If ``max_norm`` is negative, or ``norm_type`` is not over 0.
    RuntimeError
        If the norm is not finite and ``error_if_nonfinite`` is set.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> p = pynn.Parameter(np.zeros(2))
    >>> p.grad[...] = 3, 4
    >>> pynn.optim.clip_grad_norm_([p], 1.0)
    5.0
    >>> p.grad.round(3)
    array([0.6, 0.8])
    """
    members = listed(parameters)
    if not (max_norm >= 0 and norm_type > 0):
        raise ValueError(f"clip_grad_norm_: got max_norm={max_norm!r} and norm_type={norm_type!r}; expected at least 0 and over 0")
    norm = _norm(members, float(norm_type))
    if error_if_nonfinite and not np.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}")
    scale = min(1.0, max_norm / (norm + 1e-6)) if not np.isnan(norm) else norm
    for p in members:
        np.multiply(p.grad, p.grad.dtype.type(scale), out=p.grad)
    return norm


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Clip the elements of gradients in place to ``[-clip_value, clip_value]``.

    Parameters
    ----------
    parameters : Parameter or iterable of Parameter
        The parameters whose ``grad`` is clipped.
    clip_value : float
        The largest magnitude allowed.

    Raises
    ------
    ValueError
        If ``clip_value`` is negative.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> p = pynn.Parameter(np.zeros(2))
    >>> p.grad[...] = -3, 0.5
    >>> pynn.optim.clip_grad_value_([p], 1.0)
    >>> p.grad
    array([-1. ,  0.5])
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: got clip_value={clip_value!r}; expected at least 0")
    for p in listed(parameters):
        np.clip(p.grad, -clip_value, clip_value, out=p.grad)

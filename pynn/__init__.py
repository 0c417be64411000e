"""pynn: a small, complete neural-network library for CPUs.

NumPy arrays in and out, a C core that runs the whole training loop, and activations that are real ufuncs.

Examples
--------
>>> import numpy as np, pynn
>>> pynn.relu(np.array([-2.0, 0.0, 2.0]))
array([0., 0., 2.])
"""

from __future__ import annotations

import importlib
from typing import Any

from . import _conflict

try:
    from . import _core
except ImportError as error:
    raise _conflict.explain(error) from error

from . import callbacks, grad, io, losses, metrics, optim
from ._layer import Layer, Parameter
from ._loss import Loss
from ._optimizer import Optimizer
from ._random import manual_seed
from ._threads import get_num_threads, num_threads, set_num_threads
from ._training.checkpoint import Checkpoint
from ._training.divergence import DivergenceError
from ._training.find_lr import LRSweep
from ._training.health import Health
from ._training.history import History
from .activations import *  # noqa: F403
from .compose import Add, Concat, Parallel, Residual
from .io import load
from .layers import *  # noqa: F403
from .losses import *  # noqa: F403
from .model import Input, Model, Sequential

__version__ = "0.1.0"

_LAZY = ("datasets", "init", "lab", "plot", "testing")
"""Submodules that are imported when first asked for."""

__all__ = [
    *activations.__all__,  # type: ignore[name-defined]  # noqa: F405
    *layers.__all__,  # type: ignore[name-defined]  # noqa: F405
    *losses.__all__,
    "Add",
    "Checkpoint",
    "Concat",
    "DivergenceError",
    "Health",
    "History",
    "Input",
    "LRSweep",
    "Layer",
    "Loss",
    "Model",
    "Optimizer",
    "Parallel",
    "Parameter",
    "Residual",
    "Sequential",
    "callbacks",
    "get_num_threads",
    "grad",
    "io",
    "load",
    "losses",
    "manual_seed",
    "metrics",
    "num_threads",
    "optim",
    "set_num_threads",
    "show_config",
]


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print what was built, which instruction set runs, and on how many threads.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        'dicts' returns the facts instead of printing them, as in `numpy.show_config`.

    Examples
    --------
    >>> import pynn
    >>> sorted(pynn.show_config("dicts"))
    ['activations', 'instruction set', 'instruction sets built', 'losses', 'optimizers', 'threads', 'version']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode: expected 'stdout' or 'dicts', got {mode!r}")
    facts = {
        "version": __version__,
        "instruction set": _core.isa(),
        "instruction sets built": {name: "runs here" if runs else "not on this machine" for name, runs in _core.isas().items()},
        "threads": _core.get_threads(),
        "activations": len(_core.ACTIVATIONS),
        "losses": len(_core.LOSSES),
        "optimizers": len(_core.OPTIMIZERS),
    }
    if mode == "dicts":
        return facts
    for name, value in facts.items():
        print(f"{name}: {value}")
    return None


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_LAZY]

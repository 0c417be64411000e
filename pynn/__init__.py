"""pynn: a small, complete neural-network library for CPUs.

NumPy arrays in and out, a C core that runs the whole training loop, and activations that are real ufuncs.

A net is `Sequential` or `Model`, made of layers (`Linear`, `Conv2d`, `BatchNorm1d`, ...; `pynn.layers`). ``fit``,
``predict``, ``evaluate``, ``save`` and ``health`` are its methods; `load` reads a model file.

Activations (`relu`, `gelu`, ...) are ufuncs and functions of the package, their derivatives are in `pynn.grad`.
``help(pynn.Sequential.fit)`` shows the options of training.

Examples
--------
>>> import numpy as np, pynn
>>> model = pynn.Sequential(pynn.Linear(2, 8, seed=0), "tanh", pynn.Linear(8, 1, seed=1))
>>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", epochs=5, seed=0)
>>> model.predict(np.eye(2)).shape
(2, 1)
>>> pynn.relu(np.array([-2.0, 0.0, 2.0]))
array([0., 0., 2.])
"""

from __future__ import annotations

import importlib
import sys
from types import FrameType, ModuleType
from typing import Any

from . import _conflict

try:
    from . import _core
except ImportError as error:
    raise _conflict.explain(error) from error
from . import _threadpoolctl

__version__ = _core.VERSION
_threadpoolctl.register_when_imported()

# Modules are imported on first use of one of their names, to keep `import pynn` fast.
_REEXPORTED = ("activations", "layers", "model", "losses", "compose")
"""Modules whose public names are all names of the package too. A name is searched in this order, which imports those before it."""
_NAMES = {
    "Checkpoint": "_training.checkpoint",
    "DivergenceError": "_training.divergence",
    "Health": "_training.health",
    "Ensemble": "_training.ensemble",
    "Halving": "_training.halving",
    "History": "_training.history",
    "LRSweep": "_training.find_lr",
    "Layer": "layers._base",
    "Loss": "losses._base",
    "Optimizer": "optim._base",
    "Parameter": "_graph",
    "Run": "_training.many",
    "atlas": "_atlas",
    "fit_many": "_training.many",
    "get_num_threads": "_threads",
    "load": "io",
    "manual_seed": "_random",
    "num_threads": "_threads",
    "predict_many": "_training.ensemble",
    "set_num_threads": "_threads",
}
"""The module of each public name that is re-exported individually."""
_MODULES = (
    *("callbacks", "constraints", "datasets", "functional", "grad", "init", "io", "lab", "layers", "losses", "metrics", "optim", "plot"),
    *("testing", "utils"),
)
_UNLISTED = ("activations", "compose", "model", "reference", "sklearn")
"""Modules that are attributes of the package but not listed in ``__all__``."""


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print the version, the instruction sets that were built and the one in use, the number of threads, and the table sizes.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        'dicts' returns the information instead of printing it, as in `numpy.show_config`.

    Raises
    ------
    ValueError
        If `mode` has another value.

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
    if name in _MODULES or name in _UNLISTED:
        return importlib.import_module(f".{name}", __name__)
    if name == "__all__":
        # pydoc prints the whole documentation of each name in `__all__`: 30,000 lines for `help(pynn)`.
        return [*_MODULES, "show_config"] if sys._getframe(1).f_globals.get("__name__") == "pydoc" else _public_names()
    if name in _NAMES:
        value: Any = getattr(_module(_NAMES[name]), name)
    elif home := None if name.startswith("_") else next((m for m in map(_module, _REEXPORTED) if name in m.__all__), None):
        value = getattr(home, name)
    else:
        raise _missing(name, sys._getframe(1))
    globals()[name] = value
    return value


def _missing(name: str, caller: FrameType) -> Exception:
    """Return the error for an unknown name, with a hint for names of other libraries, also for ``from pynn import name``."""
    from opcode import opmap

    from ._hints import missing_name

    error = missing_name("module", __name__, name)
    code = caller.f_code.co_code
    # Python replaces an AttributeError in "from pynn import name" by an ImportError without the hint.
    if 0 <= caller.f_lasti < len(code) and code[caller.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import {name!r}: {error}", name=__name__, path=__file__)
    return error


def _module(name: str) -> ModuleType:
    return importlib.import_module(f".{name}", __name__)


def _public_names() -> list[str]:
    return [*(name for module in _REEXPORTED for name in _module(module).__all__), *_NAMES, *_MODULES, "show_config"]


def __dir__() -> list[str]:
    return _public_names()

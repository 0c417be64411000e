"""Every ufunc of the core under its own name, where pickle finds those inside functions, such as ``pynn.leaky_relu.ufunc``."""

from __future__ import annotations

from types import SimpleNamespace

from . import _core

globals().update({row["name"]: row["ufunc"] for row in (*_core.ACTIVATIONS, *_core.ROWWISE)})
grad = SimpleNamespace(**{row["name"]: row["grad"] for row in _core.ACTIVATIONS})

"""Experiments: train the same net with different activations or settings on the same data, and compare the scores."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._analyze import Difference, Verdict, analyze
    from ._candidates import ACTIVATIONS, ActivationMaker
    from ._compare import compare
    from ._diagnosis import Calibration, PreActivation
    from ._health import UnitHealth, unit_health
    from ._record import Entry, RunRecord
    from ._report import Report

__all__ = [
    "ACTIVATIONS",
    "ActivationMaker",
    "Calibration",
    "Difference",
    "Entry",
    "PreActivation",
    "Report",
    "RunRecord",
    "UnitHealth",
    "Verdict",
    "analyze",
    "compare",
    "unit_health",
]
_HOMES = {
    "ACTIVATIONS": "_candidates",
    "ActivationMaker": "_candidates",
    "Calibration": "_diagnosis",
    "Difference": "_analyze",
    "Entry": "_record",
    "PreActivation": "_diagnosis",
    "Report": "_report",
    "RunRecord": "_record",
    "UnitHealth": "_health",
    "Verdict": "_analyze",
    "analyze": "_analyze",
    "compare": "_compare",
    "unit_health": "_health",
}
"""The module of each public name, imported when the name is first used."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

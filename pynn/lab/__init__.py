"""The activation laboratory: train the same net with different activations on the same data, and compare."""

from pynn.lab._compare import ACTIVATIONS, compare
from pynn.lab._health import UnitHealth, unit_health
from pynn.lab._report import Comparison, Row

__all__ = ["ACTIVATIONS", "Comparison", "Row", "UnitHealth", "compare", "unit_health"]


def __dir__() -> list[str]:
    return __all__

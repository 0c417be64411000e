"""Checks and assertions for tests of layers, losses, nets and experiments. They need no test framework."""

from ._activation import ActivationReport, check_activation
from ._experiments import assert_beats, assert_healthy, assert_learns
from ._gradients import assert_gradients
from ._layers import check_layer

__all__ = [
    "ActivationReport",
    "assert_beats",
    "assert_gradients",
    "assert_healthy",
    "assert_learns",
    "check_activation",
    "check_layer",
]


def __dir__() -> list[str]:
    return __all__

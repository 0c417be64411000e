"""Callbacks: objects and functions that `fit` calls between epochs, between batches and around validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._tables import lazy_modules
from .._training.callback import Callback, LambdaCallback

if TYPE_CHECKING:
    from ._health import HealthMonitor
    from ._monitor import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
    from ._rate import LRScheduler
    from ._writers import CSVLogger, TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "HealthMonitor",
    "LRScheduler",
    "LambdaCallback",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
]

_HOMES = {
    "CSVLogger": "_writers",
    "EarlyStopping": "_monitor",
    "HealthMonitor": "_health",
    "LRScheduler": "_rate",
    "ModelCheckpoint": "_monitor",
    "ReduceLROnPlateau": "_monitor",
    "TensorBoard": "_writers",
}
__getattr__ = lazy_modules(globals(), _HOMES)


def __dir__() -> list[str]:
    return __all__

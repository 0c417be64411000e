"""Schedules of the learning rate: PyTorch's names and arguments, computed by the core, inside ``fit`` too.

Examples
--------
>>> import numpy as np, pynn
>>> from pynn.optim.lr_scheduler import CosineAnnealingLR, SequentialLR, WarmupLR
>>> schedule = SequentialLR(schedulers=[WarmupLR(total_iters=5), CosineAnnealingLR(T_max=25)], milestones=[5])
>>> opt = pynn.optim.AdamW(lr=1e-3, schedule=schedule)  # for model.fit(..., optimizer=opt, epochs=30)
"""

from __future__ import annotations

from functools import partial

from .. import _core
from .._tables import LazyTable, lazy_attributes
from ._schedule import (
    ChainedScheduler,
    CyclicLR,
    LambdaLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    simple,
)

_simple = LazyTable({row["cls"]: partial(simple, row, __name__) for row in _core.SCHEDULES if row["cls"]})

__all__ = [
    "ChainedScheduler",
    "CyclicLR",
    "LRScheduler",
    "LambdaLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    *_simple,
]
__getattr__ = lazy_attributes(globals(), _simple)


def __dir__() -> list[str]:
    return __all__

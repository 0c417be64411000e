"""Learning-rate schedules, with PyTorch's names and arguments. The core computes them, also inside ``fit``.

Examples
--------
>>> import numpy as np, pynn
>>> from pynn.optim.lr_scheduler import CosineAnnealingLR, SequentialLR, WarmupLR
>>> schedule = SequentialLR(schedulers=[WarmupLR(total_iters=5), CosineAnnealingLR(T_max=25)], milestones=[5])
>>> opt = pynn.optim.AdamW(lr=1e-3, schedule=schedule)  # for model.fit(..., optimizer=opt, epochs=30)
"""

from __future__ import annotations

from .._tables import lazy_attributes
from ._schedule import LRScheduler, of_the_table
from ._schedule_chains import ChainedScheduler, SequentialLR
from ._schedule_cycles import CyclicLR, MultiStepLR, OneCycleLR
from ._schedule_functions import LambdaLR, MultiplicativeLR
from ._schedule_plateau import ReduceLROnPlateau

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
    *of_the_table,
]
__getattr__ = lazy_attributes(globals(), of_the_table)


def __dir__() -> list[str]:
    return __all__

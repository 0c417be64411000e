# Made by docs/generate.py from the core's tables.
from typing import Any

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
    "ConstantLR",
    "StepLR",
    "ExponentialLR",
    "LinearLR",
    "PolynomialLR",
    "WarmupLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
]

from ..optim._schedule_chains import ChainedScheduler as ChainedScheduler

from ..optim._schedule_cycles import CyclicLR as CyclicLR

from ..optim._schedule import LRScheduler as LRScheduler

from ..optim._schedule_functions import LambdaLR as LambdaLR

from ..optim._schedule_cycles import MultiStepLR as MultiStepLR

from ..optim._schedule_functions import MultiplicativeLR as MultiplicativeLR

from ..optim._schedule_cycles import OneCycleLR as OneCycleLR

from ..optim._schedule_plateau import ReduceLROnPlateau as ReduceLROnPlateau

from ..optim._schedule_chains import SequentialLR as SequentialLR

class ConstantLR(LRScheduler):
    def __init__(self, optimizer: Any = None, factor: float = 0.3333333333333333, total_iters: float = 5.0, last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class StepLR(LRScheduler):
    def __init__(self, optimizer: Any = None, step_size: float = ..., gamma: float = 0.1, last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class ExponentialLR(LRScheduler):
    def __init__(self, optimizer: Any = None, gamma: float = ..., last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class LinearLR(LRScheduler):
    def __init__(self, optimizer: Any = None, start_factor: float = 0.3333333333333333, end_factor: float = 1.0, total_iters: float = 5.0, last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class PolynomialLR(LRScheduler):
    def __init__(self, optimizer: Any = None, total_iters: float = 5.0, power: float = 1.0, last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class WarmupLR(LRScheduler):
    def __init__(self, optimizer: Any = None, total_iters: float = ..., last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class CosineAnnealingLR(LRScheduler):
    def __init__(self, optimizer: Any = None, T_max: float = ..., eta_min: float = 0.0, last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

class CosineAnnealingWarmRestarts(LRScheduler):
    def __init__(self, optimizer: Any = None, T_0: float = ..., T_mult: float = 1.0, eta_min: float = 0.0, last_epoch: int = -1, *, interval: str = 'epoch') -> None: ...

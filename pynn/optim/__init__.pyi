# Made by docs/generate.py from the core's tables.
from typing import Any

from .._tables import LazyTable
from ..optim._base import Optimizer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "NAdam",
    "RAdam",
    "Adamax",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Rprop",
    "ASGD",
    "Lion",
    "Adafactor",
    "Muon",
    "LBFGS",
    "LevenbergMarquardt",
    "MultiOptimizer",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
]

class SGD(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Adam(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.0, amsgrad: bool = False, maximize: bool = False, decoupled_weight_decay: bool = False, eps_hat: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class AdamW(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.01, amsgrad: bool = False, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class NAdam(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.002, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.0, momentum_decay: float = 0.004, decoupled_weight_decay: bool = False, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class RAdam(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.0, decoupled_weight_decay: bool = False, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Adamax(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.002, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.0, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class RMSprop(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-08, weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Adagrad(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.01, lr_decay: float = 0.0, weight_decay: float = 0.0, initial_accumulator_value: float = 0.0, eps: float = 1e-10, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Adadelta(Optimizer):
    def __init__(self, params: Any = None, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-06, weight_decay: float = 0.0, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Rprop(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.01, etas: tuple[float, float] = (0.5, 1.2), step_sizes: tuple[float, float] = (1e-06, 50.0), maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class ASGD(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.01, lambd: float = 0.0001, alpha: float = 0.75, t0: float = 1000000.0, weight_decay: float = 0.0, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Lion(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.0001, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Adafactor(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.01, beta2_decay: float = -0.8, eps: tuple[float | None, float] = (None, 0.001), d: float = 1.0, weight_decay: float = 0.0, maximize: bool = False, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

class Muon(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-07, ns_steps: int = 5, adjust_lr_fn: str | None = None, *, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None) -> None: ...

from ..optim._solver import LBFGS as LBFGS

from ..optim._solver import LevenbergMarquardt as LevenbergMarquardt

from ..optim._multi import MultiOptimizer as MultiOptimizer

from ..optim._clip import clip_grad_norm_ as clip_grad_norm_

from ..optim._clip import clip_grad_value_ as clip_grad_value_

from . import lr_scheduler as lr_scheduler

def get(optimizer: str | Optimizer) -> Optimizer: ...

by_name: LazyTable[type[Optimizer]]

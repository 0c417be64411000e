# Made by docs/generate.py from the core's tables.
from typing import Any

from ._optimizer import Optimizer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
]

class SGD(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.01, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> None: ...

class Adam(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.0) -> None: ...

class AdamW(Optimizer):
    def __init__(self, params: Any = None, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-08, weight_decay: float = 0.01) -> None: ...

by_name: dict[str, type[Optimizer]]

def get(optimizer: str | Optimizer) -> Optimizer: ...

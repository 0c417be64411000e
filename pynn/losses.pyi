# Made by docs/generate.py from the core's tables.
from ._loss import Loss

__all__ = [
    "L1Loss",
    "MSELoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "NLLLoss",
]

class L1Loss(Loss):
    def __init__(self, *, reduction: str = 'mean') -> None: ...

class MSELoss(Loss):
    def __init__(self, *, reduction: str = 'mean') -> None: ...

class BCELoss(Loss):
    def __init__(self, *, reduction: str = 'mean') -> None: ...

class BCEWithLogitsLoss(Loss):
    def __init__(self, *, reduction: str = 'mean') -> None: ...

class CrossEntropyLoss(Loss):
    def __init__(self, *, reduction: str = 'mean') -> None: ...

class NLLLoss(Loss):
    def __init__(self, *, reduction: str = 'mean') -> None: ...

by_name: dict[str, type[Loss]]

def get(loss: str | Loss) -> Loss: ...

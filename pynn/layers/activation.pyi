# Made by docs/generate.py from the core's tables.
from collections.abc import Mapping
from typing import Any

from .._tables import Parameters
from ..layers._base import Layer

__all__ = [
    "Identity",
    "BinaryStep",
    "Threshold",
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "GELUTanh",
    "QuickGELU",
    "SiLU",
    "Swish",
    "Mish",
    "Hardswish",
    "Hardsigmoid",
    "Hardtanh",
    "Sigmoid",
    "LogSigmoid",
    "Tanh",
    "Tanhshrink",
    "Softplus",
    "Softsign",
    "Softshrink",
    "Hardshrink",
    "Squareplus",
    "Exponential",
    "Gaussian",
    "SparsePlus",
    "SparseSigmoid",
    "Shrink",
    "ThresholdedReLU",
    "Softmax",
    "Softmin",
    "LogSoftmax",
    "Sparsemax",
    "Hardmax",
]

class Identity(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class BinaryStep(_Activation):
    def __init__(self, threshold: float = 0.0, inplace: bool = False) -> None: ...

class Threshold(_Activation):
    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None: ...

class ReLU(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class ReLU6(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class LeakyReLU(_Activation):
    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None: ...

class ELU(_Activation):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None: ...

class CELU(_Activation):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None: ...

class SELU(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class GELU(_Activation):
    def __init__(self, approximate: str = 'none') -> None: ...

class GELUTanh(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class QuickGELU(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class SiLU(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Swish(_Activation):
    def __init__(self, beta: float = 1.0, inplace: bool = False) -> None: ...

class Mish(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Hardswish(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Hardsigmoid(_Activation):
    def __init__(self, alpha: float = 0.16666666666666666, beta: float = 0.5, inplace: bool = False) -> None: ...

class Hardtanh(_Activation):
    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None: ...

class Sigmoid(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class LogSigmoid(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Tanh(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Tanhshrink(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Softplus(_Activation):
    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None: ...

class Softsign(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Softshrink(_Activation):
    def __init__(self, lambd: float = 0.5, inplace: bool = False) -> None: ...

class Hardshrink(_Activation):
    def __init__(self, lambd: float = 0.5, inplace: bool = False) -> None: ...

class Squareplus(_Activation):
    def __init__(self, b: float = 4.0, inplace: bool = False) -> None: ...

class Exponential(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Gaussian(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class SparsePlus(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class SparseSigmoid(_Activation):
    def __init__(self, inplace: bool = False) -> None: ...

class Shrink(_Activation):
    def __init__(self, lambd: float = 0.5, bias: float = 0.0, inplace: bool = False) -> None: ...

class ThresholdedReLU(_Activation):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None: ...

class Softmax(_Rowwise):
    def __init__(self, dim: int = -1) -> None: ...

class Softmin(_Rowwise):
    def __init__(self, dim: int = -1) -> None: ...

class LogSoftmax(_Rowwise):
    def __init__(self, dim: int = -1) -> None: ...

class Sparsemax(_Rowwise):
    def __init__(self, dim: int = -1) -> None: ...

class Hardmax(_Rowwise):
    def __init__(self, dim: int = -1) -> None: ...

by_name: dict[str, type[Layer]]

class _Activation(Layer):
    _row: Mapping[str, Any]
    _variants: Mapping[str, str]
    _settings: Parameters
    _values: dict[str, Any]
    _choice: dict[str, str]
    def get_config(self) -> dict[str, Any]: ...

class _Rowwise(Layer):
    _function: str
    dim: int
    def get_config(self) -> dict[str, Any]: ...

# Made by docs/generate.py from the core's tables.
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "identity",
    "binary_step",
    "threshold",
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "gelu_tanh",
    "quick_gelu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "sigmoid",
    "logsigmoid",
    "tanh",
    "tanhshrink",
    "softplus",
    "softsign",
    "softshrink",
    "hardshrink",
    "squareplus",
    "swish",
]
identity: Final[np.ufunc]
def binary_step(x: ArrayLike, threshold: ArrayLike = 0.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def threshold(x: ArrayLike, threshold: ArrayLike, value: ArrayLike, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
relu: Final[np.ufunc]
relu6: Final[np.ufunc]
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def prelu(x: ArrayLike, weight: ArrayLike = 0.25, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def elu(x: ArrayLike, alpha: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def celu(x: ArrayLike, alpha: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
selu: Final[np.ufunc]
def gelu(x: ArrayLike, approximate: str = 'none', *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
gelu_tanh: Final[np.ufunc]
quick_gelu: Final[np.ufunc]
silu: Final[np.ufunc]
mish: Final[np.ufunc]
hardswish: Final[np.ufunc]
hardsigmoid: Final[np.ufunc]
def hardtanh(x: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
sigmoid: Final[np.ufunc]
logsigmoid: Final[np.ufunc]
tanh: Final[np.ufunc]
tanhshrink: Final[np.ufunc]
def softplus(x: ArrayLike, beta: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
softsign: Final[np.ufunc]
def softshrink(x: ArrayLike, lambd: ArrayLike = 0.5, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def hardshrink(x: ArrayLike, lambd: ArrayLike = 0.5, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def squareplus(x: ArrayLike, b: ArrayLike = 4.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
swish: Final[np.ufunc]

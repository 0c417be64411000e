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
    "swish",
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
    "exponential",
    "gaussian",
    "sparse_plus",
    "sparse_sigmoid",
    "shrink",
    "thresholded_relu",
    "softmax",
    "softmin",
    "log_softmax",
    "sparsemax",
    "hardmax",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "hard_shrink",
    "soft_shrink",
    "log_sigmoid",
    "tanh_shrink",
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
def swish(x: ArrayLike, beta: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
mish: Final[np.ufunc]
hardswish: Final[np.ufunc]
def hardsigmoid(x: ArrayLike, alpha: ArrayLike = 0.16666666666666666, beta: ArrayLike = 0.5, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
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
exponential: Final[np.ufunc]
gaussian: Final[np.ufunc]
sparse_plus: Final[np.ufunc]
sparse_sigmoid: Final[np.ufunc]
def shrink(x: ArrayLike, lambd: ArrayLike = 0.5, bias: ArrayLike = 0.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def thresholded_relu(x: ArrayLike, alpha: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def softmax(x: ArrayLike, axis: int = ..., *, dim: int | None = None, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def softmin(x: ArrayLike, axis: int = ..., *, dim: int | None = None, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def log_softmax(x: ArrayLike, axis: int = ..., *, dim: int | None = None, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def sparsemax(x: ArrayLike, axis: int = ..., *, dim: int | None = None, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def hardmax(x: ArrayLike, axis: int = ..., *, dim: int | None = None, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def hard_sigmoid(x: ArrayLike, alpha: ArrayLike = 0.16666666666666666, beta: ArrayLike = 0.5, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
hard_silu: Final[np.ufunc]
hard_swish: Final[np.ufunc]
def hard_tanh(x: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def hard_shrink(x: ArrayLike, lambd: ArrayLike = 0.5, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
def soft_shrink(x: ArrayLike, lambd: ArrayLike = 0.5, *, where: ArrayLike = True, out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None) -> Any: ...
log_sigmoid: Final[np.ufunc]
tanh_shrink: Final[np.ufunc]
activations: dict[str, dict[str, Any]]
rowwise_functions: dict[str, dict[str, Any]]
aliases: dict[str, str]
approximations: dict[str, dict[str, str]]

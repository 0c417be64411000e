"""PyTorch's functional names: losses, activations and layers as functions of arrays.

Functions have the names and arguments of `torch.nn.functional` and are computed by the layers and losses of this package. They return
values only: for gradients, use the layer or the loss itself, whose ``backward`` returns them, and for training `pynn.Sequential.fit`.

Examples
--------
>>> import numpy as np, pynn
>>> import pynn.functional as F
>>> h = F.relu(F.linear(np.eye(2), np.array([[1.0, -2.0], [0.5, 1.0]])))
>>> float(F.mse_loss(h, np.zeros((2, 2))))
0.5625
"""

from __future__ import annotations

from typing import Any

from .._tables import LazyTable, lazy_attributes
from . import _tables
from ._layers import (
    batch_norm,
    bilinear,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    cosine_similarity,
    embedding,
    embedding_bag,
    group_norm,
    instance_norm,
    layer_norm,
    linear,
    normalize,
    one_hot,
    pad,
    pairwise_distance,
    prelu,
    rms_norm,
)

_made: LazyTable[Any] = LazyTable({name: make for name, make in _tables.names().items() if name not in globals()})

__all__ = [
    "batch_norm",
    "bilinear",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "embedding",
    "embedding_bag",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "linear",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "prelu",
    "rms_norm",
    *_made,
]
__getattr__ = lazy_attributes(globals(), _made, "functional")


def __dir__() -> list[str]:
    return __all__

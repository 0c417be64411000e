"""The five nets with their data and initial weights, which are the same for every contestant."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

LR = 1e-6
"""Adam's learning rate while steps are timed, so small that the weights hardly change in any number of steps."""


@dataclass(frozen=True)
class Net:
    """A multilayer perceptron: widths from input to output, the hidden activation, and the batch size."""

    name: str
    widths: tuple[int, ...]
    activation: str
    batch: int

    def __str__(self) -> str:
        return f"{self.name} {'-'.join(map(str, self.widths))} {self.activation} b{self.batch}"

    @property
    def binary(self) -> bool:
        """Whether the loss is binary cross-entropy on one logit; otherwise cross-entropy on class indices."""
        return self.widths[-1] == 1

    @property
    def row_flops(self) -> float:
        """The number of floating-point operations in the matrix products of a prediction, per row."""
        return 2.0 * sum(a * b for a, b in pairwise(self.widths))

    @property
    def flops(self) -> float:
        """The same for a training step: forward and both gradients, without the gradient of the net's input, which is not computed."""
        return self.batch * (3 * self.row_flops - 2.0 * self.widths[0] * self.widths[1])

    def inputs(self, rows: int) -> NDArray[np.float32]:
        """Return normal samples (rows, widths[0])."""
        return np.random.default_rng(0).standard_normal((rows, self.widths[0]), dtype=np.float32)

    def targets(self, rows: int) -> NDArray[np.float32] | NDArray[np.int64]:
        """Return float32 targets (rows, 1) of a binary net, or class indices (rows)."""
        r = np.random.default_rng(1)
        return r.integers(0, 2, (rows, 1)).astype(np.float32) if self.binary else r.integers(0, self.widths[-1], rows)

    def weights(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return weight (out, in) and bias (out) of each layer."""
        r, f32 = np.random.default_rng(2), np.float32
        return [(r.standard_normal((b, a), dtype=f32) / f32(a**0.5), np.zeros(b, f32)) for a, b in pairwise(self.widths)]


NETS = {
    net.name: net
    for net in (
        Net("tiny", (2, 16, 16, 1), "tanh", 32),
        Net("small", (64, 128, 64, 10), "relu", 32),
        Net("medium", (784, 256, 128, 10), "relu", 64),
        Net("large", (784, 1024, 1024, 10), "gelu", 256),
        Net("wide", (2048, 4096, 2048, 1000), "relu", 512),
    )
}


@dataclass(frozen=True)
class ConvNet:
    """A convolutional net: names in torch.nn and positional arguments of its layers, the shape of a sample, and the batch size."""

    name: str
    layers: tuple[tuple[Any, ...], ...]
    shape: tuple[int, ...]
    batch: int

    def inputs(self, rows: int) -> NDArray[np.float32]:
        """Return normal samples (rows, shape)."""
        return np.random.default_rng(0).standard_normal((rows, *self.shape), dtype=np.float32)

    def targets(self, rows: int) -> NDArray[np.int64]:
        """Return class indices (rows)."""
        return np.random.default_rng(1).integers(0, 10, rows)


def _block(before: int, after: int, stride: int = 1) -> tuple[tuple[Any, ...], ...]:
    return ("Conv2d", before, after, 3, stride, 1), ("BatchNorm2d", after), ("ReLU",)


_SMALL = (("Conv2d", 1, 6, 5, 1, 2), ("ReLU",), ("MaxPool2d", 2), ("Conv2d", 6, 16, 5), ("ReLU",), ("MaxPool2d", 2))
_DENSE = (("Flatten",), ("Linear", 400, 120), ("ReLU",), ("Linear", 120, 84), ("ReLU",), ("Linear", 84, 10))
_STACK = (*_block(3, 32), *_block(32, 32), *_block(32, 64, 2), *_block(64, 64), ("AdaptiveAvgPool2d", 1), ("Flatten",), ("Linear", 64, 10))
CONV_NETS = (ConvNet("LeNet 1x28x28", _SMALL + _DENSE, (1, 28, 28), 64), ConvNet("conv stack 3x32x32", _STACK, (3, 32, 32), 32))
"""LeNet, and four convolutions with batch normalisation."""

"""The five nets, their data and first weights: the same for every contestant."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LR = 1e-6
"""Adam's learning rate while steps are timed: the weights stay where they are, however many there are."""


@dataclass(frozen=True)
class Net:
    """A multilayer perceptron: widths from input to output, the hidden activation, rows of a batch."""

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
        """Floating-point operations of the matrix products of a prediction, for one row."""
        return 2.0 * sum(a * b for a, b in pairwise(self.widths))

    @property
    def flops(self) -> float:
        """Those of a training step: forward and two gradients, but no gradient of the net's input, which nobody computes."""
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

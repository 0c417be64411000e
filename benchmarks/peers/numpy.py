"""NumPy: a careful hand-written implementation in float32, with special functions of SciPy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import numpy as np
from harness import Run, repeat
from nets import LR, Net
from numpy.typing import NDArray
from scipy.special import erf, expit

VERSION = np.__version__
IMPORT, DISTRIBUTION = "import numpy", "numpy"
F = np.float32


def set_threads(n: int) -> None:
    """Check the environment variable that NumPy's BLAS read when it was loaded."""
    assert os.environ["OPENBLAS_NUM_THREADS"] == str(n)


def _activate(name: str, z: NDArray) -> NDArray:
    if name == "tanh":
        return np.tanh(z)
    return np.maximum(z, 0) if name == "relu" else F(0.5) * z * (1 + erf(z * F(0.5**0.5)))


def _derivative(name: str, z: NDArray, h: NDArray) -> NDArray:
    if name == "tanh":
        return 1 - h * h
    if name == "relu":
        return h > 0
    return F(0.5) * (1 + erf(z * F(0.5**0.5))) + z * F((2 * np.pi) ** -0.5) * np.exp(F(-0.5) * z * z)


class _MLP:
    """The net, its gradients and Adam."""

    def __init__(self, weights: list[NDArray], activation: str, binary: bool, lr: float) -> None:
        self.p, self.activation, self.binary, self.lr, self.t = weights, activation, binary, lr, 0
        self.m, self.v = [np.zeros_like(p) for p in weights], [np.zeros_like(p) for p in weights]

    def forward(self, x: NDArray) -> tuple[list[NDArray], list[NDArray]]:
        """Return each layer's output before and after its activation."""
        before, after = [], [x]
        for weight, bias in zip(self.p[:-2:2], self.p[1:-2:2], strict=True):
            before.append(after[-1] @ weight + bias)
            after.append(_activate(self.activation, before[-1]))
        before.append(after[-1] @ self.p[-2] + self.p[-1])
        return before, after

    def step(self, x: NDArray, y: NDArray) -> float:
        """Train on one batch; return its loss."""
        before, after = self.forward(x)
        z, rows = before[-1], np.arange(len(x))
        if self.binary:
            loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
            d = expit(z) - y
        else:
            d = np.exp(z - z.max(1, keepdims=True))
            d /= d.sum(1, keepdims=True)
            loss = -np.log(d[rows, y]).mean()
            d[rows, y] -= 1
        d /= F(len(x))
        gradients: list[NDArray] = []
        for i in reversed(range(len(before))):
            gradients = [after[i].T @ d, d.sum(0), *gradients]
            if i:
                d = (d @ self.p[2 * i].T) * _derivative(self.activation, before[i - 1], after[i])
        self.update(gradients)
        return float(loss)

    def update(self, gradients: list[NDArray]) -> None:
        """Take Adam's step."""
        self.t += 1
        lr, scale = F(self.lr / (1 - 0.9**self.t)), F(1 / (1 - 0.999**self.t))
        for p, m, v, g in zip(self.p, self.m, self.v, gradients, strict=True):
            m *= F(0.9)
            m += F(0.1) * g
            v *= F(0.999)
            v += F(0.001) * g * g
            p -= lr * m / (np.sqrt(v * scale) + F(1e-8))


def _mlp(net: Net) -> _MLP:
    return _MLP([a for weight, bias in net.weights() for a in (np.ascontiguousarray(weight.T), bias)], net.activation, net.binary, LR)


def step(net: Net) -> Mapping[str, Run]:
    m, x, y = _mlp(net), net.inputs(net.batch), net.targets(net.batch)
    return {"": repeat(lambda: m.step(x, y))}


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    m, x = _mlp(net), net.inputs(rows)
    return {"": repeat(lambda: m.forward(x))}


def gemm(form: str, m: int, n: int, k: int) -> Mapping[str, Run]:
    r = np.random.default_rng(0)
    a = r.standard_normal((k, m), dtype=F).T if form[0] == "T" else r.standard_normal((m, k), dtype=F)
    b = r.standard_normal((n, k), dtype=F).T if form[1] == "T" else r.standard_normal((k, n), dtype=F)
    c = np.zeros((m, n), F)
    return {"": repeat(lambda: np.matmul(a, b, out=c))}


def digits(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    X, Xt, y, yt = data

    def train() -> tuple[float, float]:
        r, start = np.random.default_rng(0), time.perf_counter()
        shapes = ((64, 128), (128, 10))
        weights = [a for i, o in shapes for a in (r.uniform(-1, 1, (i, o)).astype(F) * F(i**-0.5), np.zeros(o, F))]
        m = _MLP(weights, "relu", False, 1e-3)
        for _ in range(epochs):
            order = r.permutation(len(X))
            for i in range(0, len(X), batch):
                m.step(X[order[i : i + batch]], y[order[i : i + batch]])
        return time.perf_counter() - start, float(np.mean(m.forward(Xt)[0][-1].argmax(1) == yt))

    return {"": train}

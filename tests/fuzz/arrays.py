"""Arrays in any layout: strides, byte orders, alignments, negative and zero strides, no elements, outputs that overlap inputs.

Each call is made twice: with arrays in a random layout, and with contiguous copies of them. The results must be bit-identical, inputs must
be unchanged, and no memory outside an output may be written.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import pynn

FUNCTIONS = [(name, getattr(pynn, name)) for name in pynn.activations.__all__ if hasattr(pynn, name)]
FUNCTIONS += [(f"grad.{name}", getattr(pynn.grad, name)) for name in pynn.grad.__all__]
UFUNCS = [(name, f) for name, f in FUNCTIONS if isinstance(f, np.ufunc)]
# Layers and their sample shapes.
LAYERS: list[tuple[Callable[[], pynn.Layer], tuple[int, ...]]] = [
    *((lambda cls=cls: cls(), (3, 4)) for cls in (pynn.ReLU, pynn.GELU, pynn.Softmax, pynn.LogSoftmax, pynn.Tanh, pynn.Hardswish)),
    (lambda: pynn.Linear(5, 3, seed=0), (5,)),
    (lambda: pynn.Linear(5, 3, seed=0, dtype="float64"), (2, 5)),
    (lambda: pynn.LayerNorm(6), (3, 6)),
    (lambda: pynn.RMSNorm(6), (6,)),
    (lambda: pynn.BatchNorm1d(4), (4,)),
    (lambda: pynn.GroupNorm(2, 4), (4, 5)),
    (lambda: pynn.Conv2d(2, 3, 3, padding=1, seed=0), (2, 5, 6)),
    (lambda: pynn.Conv1d(2, 3, 3, stride=2, seed=0), (2, 9)),
    (lambda: pynn.MaxPool2d(2), (2, 4, 6)),
    (lambda: pynn.AvgPool2d(2, ceil_mode=True), (2, 5, 5)),
    (lambda: pynn.Flatten(), (2, 3, 2)),
    (lambda: pynn.Permute((2, 0, 1)), (2, 3, 4)),
    (lambda: pynn.PReLU(4), (4, 3)),
    (lambda: pynn.Sequential(pynn.Linear(6, 9, seed=0), "relu", pynn.Linear(9, 4, seed=1), "softmax"), (6,)),
    (lambda: pynn.Sequential(pynn.Conv2d(2, 4, 3, seed=0), "relu", pynn.MaxPool2d(2), pynn.Flatten()), (2, 6, 5)),
]  # fmt: skip
LOSSES = [
    *((loss, "values") for loss in ("mse", "l1", "huber", "smooth_l1", "log_cosh")),
    ("bce_with_logits", "shares"), ("cross_entropy", "classes"), ("nll", "classes"), ("kl_div", "shares"), ("focal", "classes"),
]  # fmt: skip
FLOATS = ["f4", "f8", "f2"]
ANY = [*FLOATS, "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "?"]


def scattered(rng: np.random.Generator, values: np.ndarray[Any, Any], *, writable: bool = True) -> tuple[np.ndarray[Any, Any], bytearray]:
    """Return an array with the same values in a random layout, and the memory it uses."""
    dtype = values.dtype.newbyteorder(rng.choice(["=", "=", "S"]))
    order = rng.permutation(values.ndim)
    steps = rng.choice([1, 1, 1, 2, 3, -1, -1, -2], values.ndim)
    strides, step = [0] * values.ndim, dtype.itemsize + int(rng.choice([0, 0, 0, 1, dtype.itemsize]))
    low, high = 0, 0
    for axis in order:  # starting with the fastest-varying axis
        strides[axis] = step * int(steps[axis])
        reach = strides[axis] * max(values.shape[axis] - 1, 0)
        low, high = low + min(reach, 0), high + max(reach, 0)
        step = abs(strides[axis]) * max(values.shape[axis], 1) + (int(rng.integers(0, 9)) if rng.random() < 0.2 else 0)
    for axis in range(values.ndim):
        if values.shape[axis] > 1 and rng.random() < 0.1 and not writable and bool((values == values.take([0], axis)).all()):
            strides[axis] = 0
    start = int(rng.choice([0, 0, 1, 3, 4, 8, 13])) + 64
    memory = bytearray(rng.bytes(start - low + high + dtype.itemsize + 64))
    a: np.ndarray[Any, Any] = np.ndarray(values.shape, dtype, memory, start - low, tuple(strides))
    a[...] = values
    if rng.random() < 0.2 and not writable:
        a.flags.writeable = False
    return a, memory


class Fuzzer:
    """Random calls, determined by a seed."""

    def __init__(self, seed: int, done: Counter[str]) -> None:
        self.rng, self.done = np.random.default_rng(seed), done
        self.kept: list[tuple[bytearray, bytes]] = []

    # ---- arrays -------------------------------------------------------------------------------------------------------
    def values(self, shape: tuple[int, ...], kinds: list[str]) -> np.ndarray[Any, Any]:
        dtype = np.dtype(str(self.rng.choice(kinds)))
        x = self.rng.standard_normal(shape) * self.rng.choice([0.1, 1, 10, 1000])
        if self.rng.random() < 0.1 and shape and math.prod(shape):
            x = np.broadcast_to(x[:1], shape)
        if dtype.kind == "f" and self.rng.random() < 0.1 and x.size:
            x = x.copy()
            x.flat[int(self.rng.integers(x.size))] = self.rng.choice([np.nan, np.inf, -np.inf, -0.0, 1e-310])
        with np.errstate(all="ignore"):
            return np.asarray(np.clip(x, 0, 120) if dtype.kind == "u" else np.clip(x, -120, 120) if dtype.kind == "i" else x).astype(dtype)

    def lay_out(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        a, memory = scattered(self.rng, values, writable=False)
        self.kept.append((memory, bytes(memory)))
        return a

    def shape(self) -> tuple[int, ...]:
        return tuple(
            int(self.rng.choice([0, 1, 2, 3, 5, 17, 33], p=[0.04, 0.16, 0.2, 0.2, 0.2, 0.1, 0.1])) for _ in range(self.rng.integers(0, 4))
        )

    # ---- the same call twice ------------------------------------------------------------------------------------------
    def same(self, what: str, call: Callable[..., Any], *given: np.ndarray[Any, Any]) -> None:
        self.kept = []
        odd = [self.lay_out(a) for a in given]
        want, got = outcome(call, [np.ascontiguousarray(a).reshape(a.shape) for a in given]), outcome(call, odd)
        context = f"{what}: {[(a.dtype.str, a.shape, a.strides, a.ctypes.data % 64) for a in odd]}"
        assert len(want) == len(got), context
        for w, g in zip(want, got, strict=True):
            check_equal(w, g, context)
        for memory, before in self.kept:
            assert memory == before, f"{context}: an input was changed"
        self.done[what] += 1

    def function(self) -> None:
        name, f = FUNCTIONS[self.rng.integers(len(FUNCTIONS))]
        shape = self.shape()
        needs = [p for p in inspect.signature(f).parameters.values() if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD]
        if len(needs) > 1 or not shape:
            shape = shape or (3,)
        self.same(f"function {name}", lambda x: f(x, *([0.5] * (len(needs) - 1))), self.values(shape, ANY))

    def output(self) -> None:
        """Call with ``out=``, which may overlap the input, and ``where=``."""
        name, f = UFUNCS[self.rng.integers(len(UFUNCS))]
        if f.nin != 1 or f.nout != 1:
            return
        n, room = int(self.rng.integers(0, 70)), 80
        dtype = np.dtype(str(self.rng.choice(["f4", "f8"])))
        memory = self.values((room * 3,), [dtype.str]).astype(dtype)
        views = []
        for _ in range(2):
            step = int(self.rng.choice([1, 1, 2, 3, -1, -2]))
            start = int(self.rng.integers(0, 3 * room - (n - 1) * abs(step))) if n else 0
            views.append((start if step > 0 else start + (n - 1) * -step, step))
        at = [np.arange(n) * step + start for start, step in views]
        where = self.rng.random(n) < 0.7 if self.rng.random() < 0.3 else np.ones(n, bool)
        want = memory.copy()
        result = f(memory[at[0]].copy())
        want[at[1][where]] = result[where]
        raw = bytearray(int(self.rng.choice([0, 1, 4])) + memory.nbytes)
        shifted: np.ndarray[Any, Any] = np.ndarray(memory.shape, dtype, raw, len(raw) - memory.nbytes)
        shifted[...] = memory
        x, out = (np.lib.stride_tricks.as_strided(shifted[s:] if n else shifted[:0], (n,), (step * dtype.itemsize,)) for s, step in views)
        f(x, out=out, where=where if not where.all() else True)
        check_equal(
            want, np.array(shifted), f"{name} of {dtype}, {n} numbers, input and output at {views}, offset {len(raw) - memory.nbytes}"
        )
        self.done["output"] += 1

    def layer(self) -> None:
        make, sample = LAYERS[self.rng.integers(len(LAYERS))]
        x = self.values((int(self.rng.choice([0, 1, 2, 3, 9])), *sample), ANY)
        layer = make().train(bool(self.rng.random() < 0.5))
        try:
            shape = np.shape(layer(x))
        except (ValueError, TypeError, RuntimeError):
            shape = (len(x), 1)
        gy = self.values(shape, FLOATS)

        def run(x: Any, gy: Any) -> list[Any]:
            fresh = make().train(layer.training)
            y = fresh(x)
            return [y, fresh.backward(gy), *(p.grad for p in fresh.parameters()), fresh.eval()(x), pynn.Sequential(fresh).predict(x)]

        self.same(f"layer {type(layer).__name__}", run, x, gy)

    def targets(self, kind: str, rows: int, columns: int) -> np.ndarray[Any, Any]:
        if kind == "classes":
            return self.rng.integers(0, columns, rows).astype(str(self.rng.choice(["i1", "i2", "i4", "i8", "u1", "u2", "u4"])))
        if kind == "shares":
            return self.rng.dirichlet(np.ones(columns), rows).astype(str(self.rng.choice(["f4", "f8"])))
        return self.values((rows, columns), ANY)

    def loss(self) -> None:
        name, kind = LOSSES[self.rng.integers(len(LOSSES))]
        rows, columns = int(self.rng.choice([1, 2, 7, 40])), int(self.rng.choice([1, 2, 5, 20]))
        columns = max(columns, 2) if kind == "classes" else columns
        x, t = self.values((rows, columns), FLOATS), self.targets(kind, rows, columns)

        def run(x: Any, t: Any) -> list[Any]:
            loss = pynn.losses.get(name)
            return [loss(x, t), loss.backward()]

        self.same(f"loss {name}", run, x, t)

    def train(self) -> None:
        name, kind = LOSSES[self.rng.integers(len(LOSSES))]
        rows, columns = int(self.rng.choice([1, 2, 7, 40])), int(self.rng.choice([2, 3, 8]))
        x, t, w = (
            self.values((rows, 5), ANY),
            self.targets(kind, rows, columns),
            self.rng.random(rows).astype(str(self.rng.choice(["f4", "f8"]))),
        )
        batch, dtype = int(self.rng.choice([1, 3, 16])), str(self.rng.choice(["float32", "float64"]))

        def run(x: Any, t: Any, w: Any) -> list[Any]:
            last = "log_softmax" if name in ("nll", "kl_div") else "identity"
            layers = [pynn.Linear(5, 6, seed=0, dtype=dtype), "tanh", pynn.Linear(6, columns, seed=1, dtype=dtype), last]
            model = pynn.Sequential(*layers)
            options: dict[str, Any] = {"loss": name, "sample_weight": w}
            logs = model.fit(x, t, batch_size=batch, epochs=2, seed=0, verbose=False, on_nan="ignore", **options).history["loss"]
            found = [np.array(logs), model.predict(x), *model.state_dict().values()]
            return [*found, model.evaluate(x, t, **options)["loss"], model.predict_class(x)]

        self.same(f"fit {name}", run, x, t, w)

    def state(self) -> None:
        """Assign parameters, states and gradients."""
        values = {name: self.values(p.shape, FLOATS) for name, p in self.net().named_parameters()}

        def run(*given: Any) -> list[Any]:
            model = self.net()
            model.load_state_dict(dict(zip(values, given, strict=True)))
            for p, a in zip(model.parameters(), given, strict=True):
                p.grad = a
                p.data = a
            return [*model.state_dict().values(), *(p.grad for p in model.parameters())]

        self.same("state", run, *values.values())

    @staticmethod
    def net() -> pynn.Sequential:
        return pynn.Sequential(pynn.Conv2d(1, 2, (3, 2), seed=0), "relu", pynn.Flatten(), pynn.Linear(8, 3, seed=1))


def outcome(call: Callable[..., Any], given: list[Any]) -> list[Any]:
    """Return the arrays that a call returns, or the class of its error."""
    with np.errstate(all="ignore"):
        try:
            found = call(*given)
        except (ValueError, TypeError, RuntimeError) as error:
            return [type(error).__name__]
    return found if isinstance(found, list) else [found]


def check_equal(want: Any, got: Any, context: str) -> None:
    if isinstance(want, str) or isinstance(got, str):
        assert want == got, f"{context}: {want} for plain arrays, {got} for these"
        return
    want, got = np.asarray(want), np.asarray(got)
    assert (want.shape, want.dtype) == (got.shape, got.dtype), f"{context}: {got.dtype} {got.shape}, expected {want.dtype} {want.shape}"
    nan = np.isnan(want) & np.isnan(got) if want.dtype.kind == "f" else np.zeros(want.shape, bool)
    bad = ~nan & (want != got) | (np.signbit(want) != np.signbit(got)) & ~nan if want.dtype.kind == "f" else want != got
    assert not bad.any(), f"{context}: {got[bad][:3]}, expected {want[bad][:3]}"


def run(seed: int, done: Counter[str]) -> None:
    """Make the calls of one seed."""
    fuzzer = Fuzzer(seed, done)
    for _ in range(20):
        step = [Fuzzer.function, Fuzzer.function, Fuzzer.output, Fuzzer.layer, Fuzzer.layer, Fuzzer.loss, Fuzzer.train, Fuzzer.state]
        step[fuzzer.rng.integers(len(step))](fuzzer)

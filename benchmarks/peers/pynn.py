"""pynn: whole fits, whole predictions, ufuncs with ``out=``; its matrix product through a door of C, which costs no Python call."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from itertools import pairwise

import native
import numpy as np
from harness import Run, repeat
from nets import LR, Net
from numpy.typing import NDArray

import pynn

VERSION = pynn.__version__
IMPORT, DISTRIBUTION = "import pynn", "pynn-c"
_threads = 1


def set_threads(n: int) -> None:
    global _threads
    _threads = n
    pynn.set_num_threads(n)


def activation(name: str, direction: str, x: NDArray, g: NDArray) -> Mapping[str, Run]:
    if direction == "backward":
        layer = pynn.Sequential(name)[0]
        layer(x)
        return {"": repeat(lambda: layer.backward(g))}
    functions = pynn if direction == "forward" else pynn.grad
    if not hasattr(functions, name):
        return {}
    function, out = getattr(functions, name), np.empty_like(x)
    return {"": repeat(lambda: function(x, out=out))}


def model(net: Net) -> pynn.Sequential:
    """Return the net with its first weights."""
    layers: list[pynn.Layer | str] = []
    for (a, b), (weight, bias) in zip(pairwise(net.widths), net.weights(), strict=True):
        layer = pynn.Linear(a, b)
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, net.activation]
    return pynn.Sequential(*layers[:-1])


def step(net: Net) -> Mapping[str, Run]:
    m, optimizer, loss = model(net), pynn.optim.Adam(lr=LR), "bce_with_logits" if net.binary else "cross_entropy"
    data = [net.inputs(net.batch), net.targets(net.batch)]

    def run(n: int) -> None:
        rows = n * net.batch
        for i, a in enumerate(data):
            if len(a) < rows:
                data[i] = np.resize(a, (rows, *a.shape[1:]))
        m.fit(data[0][:rows], data[1][:rows], loss=loss, optimizer=optimizer, batch_size=net.batch, seed=0, verbose=False)

    return {"": run}


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    m, x = model(net), net.inputs(rows)
    return {"": repeat(lambda: m.predict(x))}


def gemm(form: str, m: int, n: int, k: int) -> Mapping[str, Run]:
    library = native.door()
    library.pynn_bench_threads(_threads)
    product = library.pynn_bench_product
    product.restype = ctypes.c_double
    product.argtypes = [ctypes.c_int, ctypes.c_int, *[ctypes.c_size_t] * 3, *[ctypes.c_void_p] * 3, ctypes.c_long]
    r = np.random.default_rng(0)
    a, b = r.standard_normal((m, k), dtype=np.float32), r.standard_normal((k, n), dtype=np.float32)
    c = np.zeros((m, n), np.float32)

    def run(repetitions: int, keep: object = (a, b, c)) -> float:
        seconds = product(form[0] == "T", form[1] == "T", m, n, k, a.ctypes.data, b.ctypes.data, c.ctypes.data, repetitions)
        if seconds < 0:
            raise MemoryError
        return seconds

    return {"": run}


def digits(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    X, Xt, y, yt = data

    def train() -> tuple[float, float]:
        start = time.perf_counter()
        m = pynn.Sequential(pynn.Linear(64, 128, seed=0), "relu", pynn.Linear(128, 10, seed=1))
        m.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=1e-3), epochs=epochs, batch_size=batch, seed=0, verbose=False)
        return time.perf_counter() - start, float(np.mean(m.predict_class(Xt) == yt))

    return {"": train}


def anatomy(net: Net, count: int) -> dict[str, float]:
    """Return seconds of each kind of step of a plan, of the loss, the update, and the whole step in C without fit around it."""
    library = native.door()
    library.pynn_bench_threads(_threads)
    names = (ctypes.c_char_p * 64)()
    seconds = (ctypes.c_double * 64)()
    widths = (ctypes.c_size_t * len(net.widths))(*net.widths)
    x, y = net.inputs(net.batch), net.targets(net.batch)
    parameters = [np.ascontiguousarray(a) for pair in net.weights() for a in pair]
    pointers = (ctypes.c_void_p * len(parameters))(*(p.ctypes.data for p in parameters))
    size, text, pointer = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p
    library.pynn_bench_anatomy.argtypes = [size, pointer, text, size, *[pointer] * 3, ctypes.c_long, *[pointer] * 2]
    where = x.ctypes.data, y.ctypes.data, pointers
    found = library.pynn_bench_anatomy(len(net.widths), widths, net.activation.encode(), net.batch, *where, count, names, seconds)
    if found < 0:
        raise OSError("the door could not build this net")
    parts: dict[str, float] = {}
    for i in range(found):
        name = (names[i] or b"").decode()
        parts[name] = parts.get(name, 0.0) + seconds[i] / count
    return parts

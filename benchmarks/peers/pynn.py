"""pynn: calls of ``fit`` and ``predict``, ufuncs with ``out=``, and the matrix product called from C (native/door.c)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import native
import numpy as np
from harness import Run, repeat
from nets import LR, ConvNet, Net
from numpy.typing import NDArray

import pynn
from pynn import _core

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
    """Return the net with its initial weights."""
    layers: list[pynn.Layer | str] = []
    for (a, b), (weight, bias) in zip(pairwise(net.widths), net.weights(), strict=True):
        layer = pynn.Linear(a, b)
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, net.activation]
    return pynn.Sequential(*layers[:-1])


def step(net: Net) -> Mapping[str, Run]:
    return {"": _steps(model(net), net, "bce_with_logits" if net.binary else "cross_entropy")}


def _steps(m: pynn.Sequential, net: Net | ConvNet, loss: str) -> Run:
    optimizer = pynn.optim.Adam(lr=LR)
    data = [net.inputs(net.batch), net.targets(net.batch)]

    def run(n: int) -> None:
        rows = n * net.batch
        for i, a in enumerate(data):
            if len(a) < rows:
                data[i] = np.resize(a, (rows, *a.shape[1:]))
        m.fit(data[0][:rows], data[1][:rows], loss=loss, optimizer=optimizer, batch_size=net.batch, seed=0, verbose=False)

    return run


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    m, x = model(net), net.inputs(rows)
    return {"": repeat(lambda: m.predict(x))}


def conv_model(net: ConvNet) -> pynn.Sequential:
    return pynn.Sequential(*(getattr(pynn, name)(*arguments) for name, *arguments in net.layers))


def conv_step(net: ConvNet) -> Mapping[str, Run]:
    return {"": _steps(conv_model(net), net, "cross_entropy")}


def conv_predict(net: ConvNet, rows: int) -> Mapping[str, Run]:
    m, x = conv_model(net), net.inputs(rows)
    return {"": repeat(lambda: m.predict(x))}


def gemm(form: str, m: int, n: int, k: int) -> Mapping[str, Run]:
    library = native.door()
    library.pynn_bench_threads(_threads)
    r = np.random.default_rng(0)
    a, b = r.standard_normal((m, k), dtype=np.float32), r.standard_normal((k, n), dtype=np.float32)
    c = np.zeros((m, n), np.float32)

    def run(repetitions: int) -> float:
        where = a.ctypes.data, b.ctypes.data, c.ctypes.data
        seconds = library.pynn_bench_product(form[0] == "T", form[1] == "T", m, n, k, *where, repetitions)
        if seconds < 0:
            raise MemoryError
        return seconds

    return {"": run}


def layer(name: str, arguments: tuple[int, ...], x: NDArray, g: NDArray) -> Mapping[str, Run]:
    made = getattr(pynn, name)(*arguments)

    def once() -> None:
        made(x)
        made.backward(g)

    return {"": repeat(once)}


def update(name: str, settings: Mapping[str, float], sizes: list[int]) -> Mapping[str, Run]:
    r = np.random.default_rng(0)
    parameters = [pynn.Parameter(r.standard_normal(size, dtype=np.float32)) for size in sizes]
    for p in parameters:
        p.grad = r.standard_normal(p.shape, dtype=np.float32)
    return {"": repeat(getattr(pynn.optim, name)(parameters, lr=LR, **settings).step)}


def digits(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    return _trained(lambda: pynn.Sequential(pynn.Linear(64, 128, seed=0), "relu", pynn.Linear(128, 10, seed=1)), data, epochs, batch)


def digits_cnn(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    def make() -> pynn.Sequential:
        convolutions = pynn.Conv2d(1, 16, 3, padding=1, seed=0), pynn.Conv2d(16, 32, 3, padding=1, seed=1)
        parts = [part for conv in convolutions for part in (conv, pynn.ReLU(), pynn.MaxPool2d(2))]
        return pynn.Sequential(*parts, pynn.Flatten(), pynn.Linear(1568, 10, seed=2))

    return _trained(make, data, epochs, batch)


def _trained(
    make: Callable[[], pynn.Sequential], data: tuple[NDArray, ...], epochs: int, batch: int
) -> Mapping[str, Callable[[], tuple[float, float]]]:
    X, Xt, y, yt = data

    def train() -> tuple[float, float]:
        start = time.perf_counter()
        m = make()
        m.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=1e-3), epochs=epochs, batch_size=batch, seed=0, verbose=False)
        return time.perf_counter() - start, float(np.mean(m.predict_class(Xt) == yt))

    return {"": train}


def anatomy(net: Net, count: int) -> dict[str, tuple[float, float]]:
    """Run ``count`` steps of fit with timed parts; return seconds and floating-point operations per step, for each kind of part."""
    data = [np.resize(a, (count * net.batch, *a.shape[1:])) for a in (net.inputs(net.batch), net.targets(net.batch))]
    fits: list[_core.Fit] = []

    def catch(*arguments: Any, **named: Any) -> _core.Fit:
        fits.append(make(*arguments, **named))
        return fits[0]

    def profile(epoch: int, logs: Mapping[str, float]) -> None:
        if epoch == 0:
            fits[0].profile()

    make, loss, adam = _core.Fit, "bce_with_logits" if net.binary else "cross_entropy", pynn.optim.Adam(lr=LR)
    with patch.object(_core, "Fit", catch):  # fit does not return the object that has the times
        settings = {"loss": loss, "optimizer": adam, "epochs": 2, "batch_size": net.batch, "seed": 0, "verbose": False}
        history = model(net).fit(*data, callbacks=[profile], **settings)
    times = fits[0].times
    pieces: dict[str, tuple[float, float]] = {}
    for what, _, _, flops, seconds, _ in times["plan"]:
        before = pieces.get(what, (0.0, 0.0))
        pieces[what] = before[0] + seconds / count, before[1] + flops
    pieces |= {name: (times[name] / count, 0.0) for name in ("gather", "loss", "update", "score")}
    return pieces | {"rest": (history.history["seconds"][1] / count - sum(seconds for seconds, _ in pieces.values()), 0.0)}


def many(net: Net, data: tuple[NDArray, ...], nets: int, epochs: int, jobs: int) -> Mapping[str, Run]:
    def run(n_jobs: int) -> None:
        models = (model(net) for _ in range(nets))
        runs = [
            pynn.Run(m, optimizer=pynn.optim.Adam(lr=1e-3), epochs=epochs, batch_size=net.batch, seed=k) for k, m in enumerate(models)
        ]
        pynn.fit_many(runs, *data, loss="cross_entropy", n_jobs=n_jobs, verbose=False)

    return {"": lambda _: run(jobs)} | ({"one at a time": lambda _: run(1)} if jobs > 1 else {})


def estimator_fit(*given: Any) -> Mapping[str, Run]:
    import estimators

    return estimators.fit(pynn.sklearn.MLPClassifier, *given)


def estimator_predict(*given: Any) -> Mapping[str, Run]:
    import estimators

    return estimators.predict(pynn.sklearn.MLPClassifier, *given)


def estimator_search(*given: Any) -> Mapping[str, Run]:
    import estimators

    return estimators.search(pynn.sklearn.MLPClassifier, pynn.sklearn.GridSearchCV, *given)

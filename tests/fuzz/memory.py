"""Failing allocations: in every kind of call, each allocation of the extension and of Python within the binding fails once.

`run` starts a process with ``failing.c`` preloaded, which repeats each call with allocation 0, 1, 2, ... failing until the call makes
no further allocation. The call must raise MemoryError or return its usual result, and afterwards the same objects must work as usual.
Allocations of Python objects within the extension's functions fail too, by ``_testcapi.set_nomemory``.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OBJECTS = 40


def run(seed: int, done: Counter[str]) -> None:
    """Sweep over all calls in a separate process."""
    compiler = shutil.which("cc") or shutil.which("gcc") or "clang"
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "failing.so"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", HERE / "failing.c", "-o", library, "-ldl"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), "PYNN_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
        command = [sys.executable, str(HERE / "memory.py"), str(library), folder, str(seed)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    assert ended.returncode == 0, f"failing allocations: exit status {ended.returncode}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    for line in ended.stdout.splitlines():
        name, count = line.rsplit(" ", 1)
        done[name] += int(count)


# ---- in the process with the failing allocator ------------------------------------------------------------------------------
def calls(folder: str) -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return functions by name that prepare a call. The prepared call is repeated and must return the same result each time."""
    import numpy as np

    import pynn

    rng = np.random.default_rng(0)
    X, Y, images = rng.standard_normal((40, 6)), rng.integers(0, 3, 40), rng.standard_normal((6, 2, 6, 6))
    T = rng.standard_normal((40, 3))

    def net(dtype: str = "float32") -> Any:
        layers = [pynn.Linear(6, 8, seed=0, dtype=dtype), "gelu", pynn.BatchNorm1d(8, dtype=dtype), pynn.Linear(8, 3, seed=1, dtype=dtype)]
        return pynn.Sequential(*layers)

    def matrix(dtype: str) -> Any:
        return pynn.Sequential(pynn.Linear(6, 3, seed=0, bias=False, dtype=dtype))

    def plain(dtype: str) -> Any:
        return pynn.Sequential(pynn.Linear(6, 4, seed=0, dtype=dtype), "tanh", pynn.Linear(4, 3, seed=1, dtype=dtype))

    def pictures() -> Any:
        layers = [pynn.Conv2d(2, 4, 3, padding=1, seed=0), "relu", pynn.MaxPool2d(2), pynn.Flatten(), pynn.Linear(36, 3, seed=1)]
        return pynn.Sequential(*layers)

    def trained(model: Any, x: Any, y: Any, batch_size: int | None = 16, **options: Any) -> Callable[[], Any]:
        state = model.state_dict()

        def call() -> Any:
            model.load_state_dict(state)
            settings: dict[str, Any] = {
                "loss": "cross_entropy",
                "epochs": 1,
                "batch_size": batch_size,
                "seed": 0,
                "verbose": False,
            } | options
            if isinstance(settings.get("optimizer"), type):
                settings["optimizer"] = settings["optimizer"]()
            history = model.fit(x, y, **settings)
            return [history.history["loss"], *model.state_dict().values()]

        return call

    def stepped(loss: Any, x: Any, *target: Any) -> Callable[[], Any]:
        return lambda: [loss(x, *target), loss.backward()]

    def eager(make: Callable[[], Any], x: Any) -> Callable[[], Any]:
        def call() -> Any:
            model = make()  # a new net has no plan
            y = model(x)
            for p in model.parameters():
                p.grad[...] = 0
            return [y, model.backward(y), *(p.grad for p in model.parameters())]

        return call

    def saved() -> Callable[[], Any]:
        model, path = net(), os.path.join(folder, "net.safetensors")

        def call() -> Any:
            model.save(path)
            return [pynn.load(path).predict(X)]

        return call

    def rebuilt(make: Callable[[], Any], x: Any) -> Callable[[], Any]:
        """Create and plan a new net in each call."""
        return lambda: [make().predict(x), make()(x)]

    def custom() -> Any:
        return pynn.Sequential(pynn.Activation("sine", np.sin, np.cos), pynn.Linear(6, 2, seed=0))

    model = net()
    found: dict[str, Callable[[], Callable[[], Any]]] = {
        "function": lambda: lambda: [pynn.gelu(X[:, ::-2]), pynn.softmax(X.astype("f4"), axis=0)],
        "eager": lambda: eager(net, X),
        "eager images": lambda: eager(pictures, images),
        "predict": lambda: rebuilt(net, X),
        "predict images": lambda: rebuilt(pictures, images),
        "predict again": lambda: lambda: [model.predict(X, batch_size=7)],
        "fit": lambda: trained(net(), X, Y),
        "fit float64": lambda: trained(net("float64"), X, Y),
        "fit images": lambda: trained(pictures(), images, Y[:6]),
        "fit with everything": lambda: trained(
            net(), X, Y, sample_weight=np.ones(40), validation_split=0.25, metrics=["f1"], callbacks=[pynn.callbacks.HealthMonitor()]
        ),
        "fit on batches": lambda: trained(net(), [(X[:20], Y[:20]), (X[20:], Y[20:])], None),
        "fit that diverges": lambda: trained(net(), np.where(X > 2, np.nan, X), Y, on_nan="ignore"),
        "health": lambda: lambda: [str(net().health(X, Y, loss="cross_entropy"))],
        "evaluate": lambda: lambda: [net().evaluate(X, Y, loss="cross_entropy")["loss"]],
        "save and load": saved,
        "custom layer": lambda: eager(custom, X),
        "ctc": lambda: stepped(pynn.losses.CTCLoss(), np.log(np.full((9, 2, 4), 0.25)), np.ones((2, 3), int), [9, 9], [3, 2]),
        "random": lambda: lambda: [net().state_dict()["0.weight"]],
    }
    for name, cls in pynn.optim.by_name.items():
        loss, y = ("mse", T) if name == "levenberg_marquardt" else ("cross_entropy", Y)
        make = {"muon": matrix, "levenberg_marquardt": plain}.get(name, net)
        size = None if name == "levenberg_marquardt" else 16
        settings = {"loss": loss, "optimizer": cls, "batch_size": size}
        found[f"optimizer {name}"] = lambda make=make, y=y, settings=settings: trained(make("float64"), X, y, **settings)
    for name in ("mse", "huber", "cross_entropy", "focal", "bce_with_logits", "giou", "triplet_margin", "cosine_embedding"):
        if name in pynn.losses.by_name:
            cls = pynn.losses.by_name[name]
            x = {"giou": np.abs(X[:, :4]).cumsum(1)}.get(name, T)
            y = {"cross_entropy": Y, "focal": Y, "giou": np.abs(X[:, :4]).cumsum(1) + 0.5}.get(name, np.abs(T) / 9)
            given = {"triplet_margin": (T, T + 1, T - 1), "cosine_embedding": (T, T + 1, np.ones(40))}.get(name, (x, y))
            found[f"loss {name}"] = lambda cls=cls, given=given: stepped(cls(), *given)
    return found


def main(library: str, folder: str, seed: int) -> None:
    import _testcapi

    import numpy as np

    from pynn import _core

    rng = np.random.default_rng(seed)
    memory = ctypes.CDLL(library)
    memory.failing_arm.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_long]
    with open("/proc/self/maps") as maps:
        spans = [line.split()[0].split("-") for line in maps if line.rstrip().endswith(_core.__file__)]
    low, high = min(int(a, 16) for a, _ in spans), max(int(b, 16) for _, b in spans)

    def same(a: Any, b: Any) -> bool:
        return len(a) == len(b) and all(
            np.array_equal(np.asarray(x), np.asarray(y), equal_nan=np.asarray(x).dtype.kind == "f") for x, y in zip(a, b, strict=True)
        )

    def sweep(name: str, call: Callable[[], Any], arm: Callable[[int], None], disarm: Callable[[], bool], stride: int) -> int:
        expected, n = call(), 0
        while True:
            arm(n)
            try:
                got = call()
            except MemoryError:
                got = None
            except Exception as error:
                disarm()
                raise AssertionError(f"{name}: allocation {n} failed, and the error is {error!r}") from error
            failed = disarm()
            if got is not None and not same(got, expected):
                raise AssertionError(f"{name}: allocation {n} failed, and the result is another: {got} instead of {expected}")
            if not failed:
                return n
            if n % 8 == 0 and not same(call(), expected):
                raise AssertionError(f"{name}: after allocation {n} failed, the result is another")
            n += stride

    def of_core(function: Any) -> bool:
        owner = getattr(function, "__self__", None)
        return getattr(function, "__module__", None) == _core.__name__ or type(owner).__module__ == _core.__name__

    def fail_object(call: Callable[[], Any], which: int, n: int) -> tuple[int, bool, BaseException | None]:
        """Let allocation n fail in one call of the extension. Return the number of calls, whether n was reached, and the error."""
        count, reached, error = 0, False, None

        def profile(frame: Any, event: str, function: Any) -> None:
            nonlocal count, reached
            if event == "c_call" and of_core(function):
                count += 1
                if count == which:
                    reached = True
                    _testcapi.set_nomemory(n, n + 1)
            elif event != "call" and event != "return" and of_core(function):
                _testcapi.remove_mem_hooks()

        sys.setprofile(profile)
        try:
            call()
        except Exception as caught:
            error = caught
        finally:
            sys.setprofile(None)
            _testcapi.remove_mem_hooks()
        return count, reached, error

    def sweep_objects(name: str, call: Callable[[], Any]) -> int:
        expected, tried = call(), 0
        count, _, _ = fail_object(call, 0, 0)
        for _ in range(min(OBJECTS, 30 * count)):
            which, n = int(rng.integers(1, count + 1)), int(rng.integers(30))
            _, reached, error = fail_object(call, which, n)
            tried += reached
            if error is not None and not isinstance(error, MemoryError):
                raise AssertionError(f"{name}: object {n} of call {which} failed, and the error is {error!r}") from error
        if not same(call(), expected):
            raise AssertionError(f"{name}: the result is another after objects could not be made")
        return tried

    def core(n: int) -> None:
        memory.failing_arm(low, high, n)

    def core_off() -> bool:
        failed = memory.failing_failed() > 0
        memory.failing_arm(0, 0, -1)
        return failed

    warnings.simplefilter("ignore")
    for name, prepare in calls(folder).items():
        call = prepare()
        print(f"{name} (core)", sweep(name, call, core, core_off, 1), flush=True)
        print(f"{name} (objects)", sweep_objects(name, call), flush=True)
    gc.collect()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

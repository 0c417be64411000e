"""Random nets, random arguments, any order of calls, several threads: a result, or an exception that says what is wrong. Never a crash,
nothing printed, no warning but ours. And whatever is done many times, memory stays flat."""

import copy
import importlib.util
import inspect
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn

DOCUMENTED = (ValueError, TypeError, RuntimeError, MemoryError, KeyError, FileNotFoundError)
# Sizes are small, or far more than any machine has: what lies between may be there, and takes its time.
ABSURD = [
    *(None, True, 0, -1, 3, 1 << 50, 1 << 62, 1 << 64, -(1 << 63), 0.0, -0.0, 0.5, 1e-300, 1e308, float("nan"), float("inf"), 1j),
    *("", "x", "same", "sum", "none", b"x", (), (0, 0), (-1, 2), (1 << 40, 1 << 40), [1, 2, 3], [[1], [2, 3]], {}, object()),
    *(np.zeros(0), np.float32(2), np.int8(-3), np.array([1.0, np.nan]), np.array("a"), np.ones((2, 3, 4))),
]
SHAPES = [(4,), (6,), (2, 5), (2, 6, 5)]
LAYERS = [cls for name, cls in pynn.Layer.classes.items() if cls.__module__.startswith("pynn.") and name != "Model"]
LOSSES = [getattr(pynn.losses, name) for name in pynn.losses.__all__]
OPTIMIZERS = [cls for name in pynn.optim.__all__ if isinstance(cls := getattr(pynn.optim, name), type) and issubclass(cls, pynn.Optimizer)]
FIT = [name for name in inspect.signature(pynn.Sequential.fit).parameters if name not in ("self", "X", "y", "epochs", "verbose", "on_nan")]


class Unruly(pynn.Layer):
    """A layer that behaves until its third call."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer, self.calls = answer, 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return np.tanh(x) if self.calls < 3 else self.answer

    def backward(self, gy: Any) -> Any:
        return gy if self.calls < 3 else self.answer


class Life:
    """A net and what happens to it, which a seed decides."""

    def __init__(self, seed: int, path: Path, done: Counter[str]) -> None:
        self.r, self.path, self.done = random.Random(seed), path, done
        rows, kind = self.r.choice([1, 5, 33]), self.r.choice(["f4", "f8", "i2"])
        self.X = np.random.default_rng(seed).normal(0, 3, (rows, *self.r.choice(SHAPES))).astype(kind)
        self.model = pynn.Sequential()
        for _ in range(self.r.randint(1, 9)):
            y = self.attempt("output", self.model.predict, self.X[:1])
            layer = self.made(LAYERS, y.shape[1:] if isinstance(y, np.ndarray) else (1,))
            longer = None if layer is None else self.attempt("net", pynn.Sequential, *self.model, layer)
            if longer is not None and self.attempt("layer", longer, self.X[:2]) is not None:
                self.model = longer

    def attempt(self, what: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Return the result of a call, or None where it refuses in words; `done` counts the results."""
        try:
            result = call(*arguments, **named)
        except DOCUMENTED as error:
            if str(error) or isinstance(error, MemoryError):
                return None
            raise AssertionError("an exception without a word") from error
        self.done[what] += 1
        return result

    def mostly(self, good: Any) -> Any:
        return good if self.r.random() < 0.93 else self.r.choice(ABSURD)

    def made(self, classes: list[Any], shape: tuple[int, ...] = (4,)) -> Any:
        """Return something of one of the classes, most of whose arguments fit samples of that shape, or None."""
        cls, arguments = self.r.choice(classes), {}
        known: dict[str, Any] = {
            **dict.fromkeys(["in_features", "in1_features", "in2_features", "normalized_shape"], shape[-1:]),
            **dict.fromkeys(["in_channels", "num_features", "num_channels", "num_parameters", "num_groups"], shape[:1]),
            "dtype": ["float32"],
        }
        for name, p in inspect.signature(cls).parameters.items():
            default = p.default if p.default is not p.empty else self.r.randint(1, 3)
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and (p.default is p.empty or self.r.random() < 0.3):
                other = {bool: lambda d: not d, float: lambda d: d / 2}.get(type(default), lambda d: d)(default)
                arguments[name] = self.mostly(self.r.choice(known.get(name) or [default, other]))
        return self.attempt(cls.__name__, cls, **arguments)

    def target(self) -> Any:
        """Return classes; or numbers as many as the output's, any or 0 and 1."""
        y = self.attempt("output", self.model.predict, self.X)
        some = np.random.default_rng(1).normal(size=y.shape if isinstance(y, np.ndarray) else (len(self.X), 1))
        return self.mostly(self.r.choice([np.arange(len(self.X)) % 2, some, some > 0]))

    def fit(self) -> None:
        named = {"loss": self.made(LOSSES) if self.r.random() < 0.5 else "mse", "optimizer": self.made(OPTIMIZERS) or "adam"}
        named |= {"batch_size": self.r.choice([1, 4, 64]), "epochs": self.r.randint(0, 2), "verbose": False, "on_nan": "ignore"}
        if self.r.random() < 0.2:
            named[self.r.choice(FIT)] = self.r.choice(ABSURD)
        self.attempt("fit", self.model.fit, self.X, self.target(), **named)
        self.attempt("evaluate", self.model.evaluate, self.X, self.target())
        self.attempt("health", lambda: str(self.model.health()))

    def predict(self) -> None:
        x = self.mostly(self.r.choice([self.X, self.X[:0], self.X[::-2], self.X.T, self.X.astype(">f8")]))
        self.attempt("predict", self.model.predict, x, batch_size=self.mostly(self.r.choice([1, 4, 1 << 61])))
        self.attempt("predict_class", self.model.predict_class, x)

    def step(self) -> None:
        self.model.train(self.r.random() < 0.7)
        y = self.attempt("call", self.model, self.X)
        self.attempt("backward", self.model.backward, self.mostly(y))
        self.attempt("optimizer", lambda: self.r.choice(OPTIMIZERS)(self.model.parameters()).step())

    def touch(self) -> None:
        for p in self.model.parameters():
            self.attempt("data", setattr, p, "data", self.mostly(np.ones(p.shape)))
            self.attempt("grad", setattr, p, "grad", self.mostly(np.ones(p.shape)))
            p.requires_grad = self.r.random() < 0.8
        self.attempt("state", lambda: self.model.load_state_dict(self.model.state_dict()) or True)

    def change(self) -> None:
        layer = self.r.choice([Unruly(self.r.choice(ABSURD)), self.made(LAYERS), "relu"])
        at = self.r.randrange(len(self.model) + 1)
        if self.r.random() < 0.3 and at < len(self.model):
            del self.model[at]
        elif layer is not None:
            self.model.insert(at, layer)

    def double(self) -> None:
        ways = [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: type(m).from_config(m.get_config())]
        self.model = self.attempt("copy", self.r.choice(ways), self.model) or self.model

    def file(self) -> None:
        if self.attempt("save", lambda: self.model.save(self.path) or True):
            self.model = self.attempt("load", pynn.load, self.path) or self.model
            spoilt = bytearray(self.path.read_bytes())
            spoilt[self.r.randrange(len(spoilt))] = self.r.randrange(256)
            self.path.write_bytes(spoilt[: self.r.choice([len(spoilt), self.r.randrange(len(spoilt))])])
            self.attempt("load", lambda: pynn.load(self.path).predict(self.X))

    def crowd(self) -> None:
        """Three threads do what they like with the same net."""
        y, wrong = self.target(), []
        calls = [
            lambda: self.model.fit(self.X, y, loss="mse", verbose=False, on_nan="ignore"), lambda: self.model.predict(self.X),
            lambda: self.model.backward(self.model(self.X)), lambda: self.model.append("relu"), lambda: pickle.dumps(self.model),
            lambda: pynn.set_num_threads(2), self.model.eval,
        ]  # fmt: skip

        def run(call: Callable[[], Any]) -> None:
            try:
                self.attempt("thread", call)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=run, args=(self.r.choice(calls),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]


def test_whatever_happens_to_a_net_is_a_result_or_a_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done, before = Counter[str](), pynn.get_num_threads()
    doings = [Life.fit, Life.fit, Life.predict, Life.step, Life.touch, Life.change, Life.double, Life.file, Life.crowd]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=UserWarning)
        warnings.filterwarnings("ignore", r".*\bloss is\b|.*_loss is\b", RuntimeWarning)
        for seed in range(250):
            try:
                life = Life(seed, tmp_path / "net.safetensors", done)
                for _ in range(8):
                    life.r.choice(doings)(life)
            except BaseException as error:
                error.add_note(f"in the life of seed {seed}")
                raise
    pynn.set_num_threads(before)
    assert capfd.readouterr() == ("", "")
    named = {cls.__name__ for cls in LAYERS + LOSSES + OPTIMIZERS}
    assert len(named & set(done)) > 0.9 * len(named)
    rare = {what: n for what, n in done.items() if what not in named and n < 20}
    assert not rare


def test_arrays_in_any_layout_give_the_same_bits() -> None:
    """For longer: python tests/fuzz arrays."""
    done = Counter[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(40):
            fuzzer("arrays").run(seed, done)
    assert len(done) > 80
    assert done["output"] > 40


def fuzzer(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", Path(__file__).parent / "fuzz" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Every array here has 64 kB, so that one lost in each of 200 calls is 12.5 MB.
MEMORY = """
import copy, gc, json, pickle, sys
import numpy as np, pynn

class Raising(pynn.Layer):
    def forward(self, x): return np.tanh(x)
    def backward(self, gy): raise RuntimeError("backward")

def stop(epoch, logs): raise RuntimeError("callback")

def refused(call, *arguments, **named):
    try: call(*arguments, **named)
    except (ValueError, TypeError, RuntimeError, pynn.DivergenceError): return
    raise AssertionError("not refused")

def net(last="tanh"): return pynn.Sequential(pynn.Linear(128, 128), last)

rng = np.random.default_rng(0)
X, path, model, mse = rng.normal(size=(128, 128)).astype("f4"), sys.argv[1], net(), {"loss": "mse"}
nan, parameters, text = X * np.nan, model.parameters(), np.array([["x"]])
more, stopping = {"validation_data": (X, X), "sample_weight": np.ones(128)}, {"callbacks": [pynn.callbacks.EarlyStopping(patience=1)]}
images, pictures = pynn.Sequential(pynn.Conv2d(1, 4, 3, padding=1), pynn.MaxPool2d(2)), X.reshape(4, 1, 64, 64)
CALLS = {
    "fit": lambda: net().fit(X, X, **mse), "fit again": lambda: model.fit(X, X, **mse, **more),
    "fit with a callback": lambda: model.fit(X, X, **mse, **stopping),
    "fit on batches": lambda: model.fit([(X, X), (X[:5], X[:5])], **mse),
    "fit that diverges": lambda: refused(model.fit, nan, X, **mse), "fit refused": lambda: refused(model.fit, X, X[:5], **mse),
    "fit refused late": lambda: refused(model.fit, X, nan, **mse), "fit stopped": lambda: refused(model.fit, X, X, **mse, callbacks=[stop]),
    "own layer stops fit": lambda: refused(net(Raising()).fit, X, X, **mse), "evaluate": lambda: model.evaluate(X, X),
    "predict": lambda: model.predict(X), "predict doubles": lambda: model.predict(X.astype("f8")),
    "predict refused": lambda: refused(model.predict, text),
    "backward": lambda: (model(X), model.backward(X)), "backward refused": lambda: (model(X), refused(model.backward, X[:5])),
    "images": lambda: (images(pictures), images.backward(images(pictures))), "health": lambda: model.health(X),
    "optimizer": lambda: pynn.optim.Adam(parameters).step(), "state": lambda: model.load_state_dict(model.state_dict()),
    "save and load": lambda: (model.save(path), pynn.load(path).predict(X)), "load refused": lambda: refused(pynn.load, np.__file__),
    "pickle": lambda: pickle.loads(pickle.dumps(model)).predict(X), "copy": lambda: copy.deepcopy(model)(X),
    "loss": lambda: (lambda loss: (loss(X, X), loss.backward()))(pynn.MSELoss()),
    "function": lambda: pynn.gelu(X), "function refused": lambda: refused(pynn.gelu, text),
}

def resident():
    gc.collect()
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4096 / 1e6

growth = {}
for name, call in CALLS.items():
    for _ in range(20): call()
    before = resident()
    for _ in range(200): call()
    growth[name] = resident() - before
print(json.dumps(growth))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="nobody here says how much memory is resident")
def test_memory_stays_flat(tmp_path: Path) -> None:
    environment = {**os.environ, "PYNN_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path / "net.safetensors"], capture_output=True, text=True, env=environment)
    assert not done.stderr
    growth = json.loads(done.stdout)
    assert not {name: megabytes for name, megabytes in growth.items() if megabytes > 3}

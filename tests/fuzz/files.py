"""Damaged model files, checkpoints, states and Keras files: reading each succeeds or raises an error that names the file.

    python tests/fuzz/files.py --seconds 3600            # an hour, from seed 0
    python tests/fuzz/files.py --seed 1234 --seconds 0   # the files of that seed

A seed chooses a good file and damages it a few times: bits, cuts, insertions, other numbers in the header, other values, missing and
further parts in the architecture and in what a checkpoint says of its training. Allowed are a result, which is then used, and the
documented exceptions with the file's name in the text. A slow call is a fault, and so is a large allocation. The file that is being
read is kept, so that a crash leaves it: its name is printed at the start.
"""

from __future__ import annotations

import argparse
import copy
import io as streams
import json
import os
import random
import struct
import sys
import tempfile
import time
import traceback
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pynn
from pynn import io

try:
    import h5py
except ImportError:
    h5py = None

EACH = 25
"""Damaged files for each seed."""
SLOWEST = 10.0
MOST_BYTES = 250_000_000
ABSURD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 3, 255, 2**31, 2**40, 2**63, 2**64, 2**70, -(2**63), 0.5, -0.0, 1e308, 1e-320, float("nan")),
    *(float("inf"), "", "x", "ReLU", "Linear", "Sequential", "mse", "adam", "__class__", "é\u2713", "a" * 300),
    *([], {}, [[]], [0, 0], [1, [2]], {"class": "ReLU"}, {"class": "Sequential", "layers": []}, {"shared layer": 0}),
    {"class": "Linear", "in_features": 2, "out_features": 3},
]
DOCUMENTED = (ValueError, TypeError, RuntimeError, MemoryError, KeyError)
"""Exceptions that calls of a loaded net may raise."""


class Base(NamedTuple):
    """A valid file, and the function that reads it."""

    name: str
    content: bytes
    read: Callable[[Path], Any]
    allowed: tuple[type[Exception], ...] = (ValueError,)
    damage: Callable[[random.Random, bytes], bytes] | None = None


# ---- valid files -----------------------------------------------------------------------------------------------------
def nets() -> dict[str, pynn.Sequential | pynn.Model]:
    """Return small nets of all kinds."""
    x, y = pynn.Input(4), pynn.Input((4,))
    shared = pynn.Linear(4, 4, seed=0)
    both = pynn.Concat()(pynn.ReLU()(shared(x)), shared(y))
    outputs = {"sort": pynn.Linear(8, 3, seed=1)(both), "size": pynn.Linear(8, 1, seed=2)(both)}
    image = pynn.Unflatten(1, (1, 2, 2)), pynn.Conv2d(1, 3, 2, padding=1, seed=0), pynn.BatchNorm2d(3), pynn.PReLU(3), pynn.MaxPool2d(2)
    block = pynn.Residual(pynn.Linear(4, 4, seed=1), "tanh", shortcut=pynn.Linear(4, 4, seed=2))
    return {
        "row": pynn.Sequential(pynn.Linear(4, 5, seed=0), "gelu", pynn.Dropout(0.2, seed=1), pynn.Linear(5, 3, seed=1)),
        "named": pynn.Sequential({"in": pynn.Linear(4, 4, seed=0), "block": block, "again": block, "out": pynn.Linear(4, 3, seed=3)}),
        "image": pynn.Sequential(*image, pynn.Flatten(), pynn.Linear(3, 3, seed=1)),
        "branches": pynn.Sequential(pynn.Concat("relu", pynn.LayerNorm(4)), pynn.Add("tanh", "identity"), pynn.Linear(8, 3, seed=0)),
        "drawn": pynn.Model([x, y], outputs, layers={"shared": shared, **outputs}),
    }


X, LABELS = np.random.default_rng(0).normal(size=(12, 4)).astype("f4"), np.arange(12) % 3
DRAWN: dict[str, Any] = {"X": (X, X), "y": {"sort": LABELS, "size": X[:, 0]}, "loss": {"sort": "cross_entropy", "size": "mse"}}


def settings(name: str, path: Path | None = None) -> dict[str, Any]:
    """Return new arguments of ``fit`` for a net."""
    callbacks: list[Any] = [pynn.callbacks.EarlyStopping(patience=3), pynn.callbacks.ReduceLROnPlateau(patience=2)]
    if path is not None:
        callbacks.append(pynn.Checkpoint(path, every_steps=None if name == "drawn" else 2))
    schedule = pynn.optim.lr_scheduler.CosineAnnealingLR(T_max=5)
    optimizer = pynn.optim.SGD(lr=0.1, momentum=0.9) if name == "named" else pynn.optim.AdamW(lr=0.01, schedule=schedule)
    data = DRAWN if name == "drawn" else {"X": X, "y": LABELS, "loss": "cross_entropy"}
    return {**data, "optimizer": optimizer, "callbacks": callbacks, "batch_size": 4, "epochs": 3, "seed": 1, "verbose": False}


def resumed(name: str) -> Callable[[Path], Any]:
    """Return a function that resumes training from a file."""

    def read(path: Path) -> Any:
        model = nets()[name]
        model.fit(**settings(name), resume_from=path)
        return model

    return read


@cache
def bases() -> list[Base]:
    """Return the valid files."""
    found: list[Base] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m")
        for name, model in nets().items():
            model.fit(**settings(name, path))
            found.append(Base(f"checkpoint of {name}", path.read_bytes(), resumed(name), damage=damaged_arrays))
            model.save(path)
            found.append(Base(f"model {name}", path.read_bytes(), pynn.load, damage=damaged_arrays))
        io.save_file({"a": X, "b": LABELS, "c": np.zeros((0, 2)), "d": X > 0}, path, {"k": "v"})
        found.append(Base("arrays", path.read_bytes(), io.load_file, damage=damaged_arrays))
        found.append(Base("mapped arrays", path.read_bytes(), lambda p: io.load_file(p, mmap=True), damage=damaged_arrays))
        if h5py is not None:
            found += keras_bases(path)
    return found


def keras_bases(path: Path) -> list[Base]:
    """Return Keras files: with and without group names, with lists of names, and archives."""
    model = pynn.Sequential(pynn.Linear(4, 5, seed=0), pynn.BatchNorm1d(5), pynn.Linear(5, 3, seed=1))
    arrays = io.to_keras(model)
    parts = [("dense", "Dense", "0"), ("batch_normalization", "BatchNormalization", "1"), ("dense_1", "Dense", "2")]
    layers = [{"class_name": kind, "name": name, "config": {"name": name, "scale": True, "center": True}} for name, kind, _ in parts]
    sources = [None, "dense", "batch_normalization"]
    for layer, source in zip(layers, sources, strict=True):
        layer["inbound_nodes"] = [{"args": [{"config": {"keras_history": [source, 0, 0]}}]}] if source else []
    config = {"class_name": "Functional", "config": {"name": "m", "layers": layers, "output_layers": [["dense_1", 0, 0]]}}

    def write(file: Any, legacy: bool, named: bool) -> None:
        file.attrs["layer_names" if legacy else "x"] = [name.encode() for name, _, _ in parts]
        for name, _, ours in parts:
            own = {key.partition("/")[2]: a for key, a in arrays.items() if key.startswith(f"{ours}/")}
            group = file.create_group(name if legacy else f"layers/{name}/vars")
            group.attrs["weight_names" if legacy else "name" if named else "x"] = [f"{k}:0".encode() for k in own] if legacy else name
            for i, (key, a) in enumerate(own.items()):
                group[f"{key}:0" if legacy else str(i)] = a

    def read(path: Path) -> Any:
        other = pynn.Sequential(pynn.Linear(4, 5), pynn.BatchNorm1d(5), pynn.Linear(5, 3))
        other.load_state_dict(io.from_keras(path, other))
        return other

    found = []
    for legacy, named in ((True, False), (False, True), (False, False)):
        with h5py.File(path, "w") as file:
            write(file, legacy, named)
            if legacy:
                file.attrs["model_config"] = json.dumps(config)
        found.append(Base(f"Keras {legacy} {named}", path.read_bytes(), read, (ValueError, KeyError, TypeError)))
    whole = streams.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", path.read_bytes())
    return [*found, Base("Keras archive", whole.getvalue(), read, (ValueError, KeyError, TypeError), damage=damaged_archive)]


# ---- damage ----------------------------------------------------------------------------------------------------------
def damaged_bytes(r: random.Random, content: bytes) -> bytes:
    """Return a file with a few bytes changed, removed, inserted or moved, mostly near the start."""
    found = bytearray(content)
    for _ in range(r.choice([1, 1, 2, 3, 8])):
        if not found:
            break
        at = r.randrange(len(found)) if r.random() < 0.5 else r.randrange(min(len(found), 2000))
        what = r.randrange(6)
        if what == 0:
            found[at] ^= 1 << r.randrange(8)
        elif what == 1:
            found[at] = r.choice([0, 1, 0x7F, 0x80, 0xFF, *b'{}[]",:0', r.randrange(256)])
        elif what == 2:
            size = r.choice([2, 4, 8])
            found[at : at + size] = r.choice([0, 1, 2**15, 2 ** (8 * size) - 1, 2 ** (8 * size - 1)]).to_bytes(size, "little")
        elif what == 3:
            del found[at : at + r.choice([1, 8, 100])]
        elif what == 4:
            start = r.randrange(len(found))
            found[at:at] = found[start : start + r.choice([1, 8, 100])]
        else:
            del found[at if r.random() < 0.5 else len(found) - r.randrange(min(len(found), 40)) - 1 :]
    return bytes(found)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return all positions in a JSON value, as pairs of a container and a key."""
    found, waiting = [], [value]
    while waiting:
        part = waiting.pop()
        for key in [*part] if isinstance(part, dict) else range(len(part)):
            found.append((part, key))
            if isinstance(part[key], (dict, list)):
                waiting.append(part[key])
    return found


def damaged_json(r: random.Random, value: Any) -> Any:
    """Return a JSON value with a few parts replaced, swapped, removed or added."""
    value = copy.deepcopy(value)
    for _ in range(r.choice([1, 1, 1, 2, 4])):
        known = places(value) if isinstance(value, (dict, list)) else []
        if not known:
            return r.choice(ABSURD)
        (part, key), (other, its) = r.choice(known), r.choice(known)
        what = r.randrange(6)
        if what == 0:
            part[key] = copy.deepcopy(r.choice(ABSURD))
        elif what == 1:
            del part[key]
        elif what == 2:
            part[key] = copy.deepcopy(other[its])
        elif what == 3 and isinstance(part, dict):
            part[r.choice(["x", "class", "shared layer", "layers", "names", "steps", str(key) + "s"])] = copy.deepcopy(r.choice(ABSURD))
        elif what == 4 and isinstance(part, list):
            part.insert(key, copy.deepcopy(other[its]))
        elif isinstance(part[key], (int, float)) and not isinstance(part[key], bool):
            part[key] = r.choice([part[key] + 1, -part[key], part[key] * 1000, float(part[key]), str(part[key]), [part[key]]])
    return value


def damaged_arrays(r: random.Random, content: bytes) -> bytes:
    """Return a safetensors file with damage in its header or metadata, but with a correct header length."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    texts = header.get("__metadata__", {})
    own = [key for key in texts if texts[key].startswith("{")]
    if own and r.random() < 0.8:
        key = r.choice(own)
        texts[key] = json.dumps(damaged_json(r, json.loads(texts[key])))
    else:
        header = damaged_json(r, header)
    text = json.dumps(header, ensure_ascii=r.random() < 0.5).encode(errors="replace")
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def damaged_archive(r: random.Random, content: bytes) -> bytes:
    """Return a .keras file with damage in one of its members."""
    whole = streams.BytesIO()
    with zipfile.ZipFile(streams.BytesIO(content)) as old, zipfile.ZipFile(whole, "w", r.choice([0, 8])) as new:
        for name in old.namelist():
            member = old.read(name)
            if r.random() < 0.6:
                is_text = name.endswith(".json")
                member = json.dumps(damaged_json(r, json.loads(member))).encode() if is_text else damaged_bytes(r, member)
            new.writestr(name, member)
    return whole.getvalue()


# ---- running ---------------------------------------------------------------------------------------------------------
def use(model: Any) -> None:
    """Use a loaded object: every call must return a result or raise a documented error."""
    if not isinstance(model, pynn.Layer):
        return
    many = (X, X)
    for call in (lambda: model.predict(X), lambda: model.predict(many), lambda: repr(model), lambda: model.summary(), model.state_dict):
        try:
            call()
        except DOCUMENTED:
            pass
        except AttributeError:  # a layer that is not a net has no predict
            if isinstance(model, (pynn.Sequential, pynn.Model)):
                raise


def attempt(base: Base, path: Path, content: bytes, done: Counter[str]) -> None:
    """Read a damaged file; raise if the outcome is not an allowed one."""
    path.write_bytes(content)
    kind = base.name.partition(" ")[0]
    start = time.monotonic()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(base.read(path))
        done[f"{kind}: read"] += 1
    except base.allowed as error:
        done[f"{kind}: refused"] += 1
        if isinstance(error, ValueError) and str(path) not in str(error) and kind != "Keras":
            raise AssertionError(f"{base.name}: an error that does not name the file: {error}") from error
    except (pynn.DivergenceError, RuntimeError) as error:
        if kind != "checkpoint" or ("loss" not in str(error) and not isinstance(error, pynn.DivergenceError)):
            raise
        done[f"{kind}: diverged"] += 1  # the weights may have any value
    took, peak = time.monotonic() - start, tracemalloc.get_traced_memory()[1] - before
    if took > SLOWEST or peak > MOST_BYTES:
        raise AssertionError(f"{base.name}: took {took:.1f} s and {peak:,} bytes")


def run(seed: int, done: Counter[str], keep: Path | None = None) -> None:
    """Damage a valid file several times, determined by the seed, and read it; count the outcomes in ``done`` by kind."""
    r = random.Random(seed)
    base = r.choice(bases())
    folder = Path(tempfile.gettempdir()) if keep is None else keep
    path = folder / f"pynn-fuzz-{os.getpid()}.file"
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        for _ in range(EACH):
            damage = base.damage if base.damage is not None and r.random() < 0.7 else damaged_bytes
            attempt(base, path, damage(r, base.content), done)
    except BaseException:
        os.replace(path, folder / f"pynn-fuzz-fault-{seed}.file")
        raise
    finally:
        if started:
            tracemalloc.stop()
        path.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="how long (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--keep", type=Path, default=None, help="the directory for the file that is read and for faults")
    options = parser.parse_args()
    done, faults, seed, start = Counter[str](), 0, options.seed, time.monotonic()
    while seed == options.seed or (time.monotonic() - start < options.seconds and faults < 10):
        try:
            run(seed, done, options.keep)
        except Exception:
            faults += 1
            print(f"fault with seed {seed}\n{traceback.format_exc()}", flush=True)
        seed += 1
    took = time.monotonic() - start
    print(f"files: {sum(done.values()):,} files from {seed - options.seed:,} seeds in {took:.0f} s, {faults} faults; {dict(done)}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

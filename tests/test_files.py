"""Files: round trips, exchange with the safetensors package and Keras, and errors for broken files."""

import gzip
import io as streams
import json
import os
import pickle
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import files as fuzzer
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pynn
from pynn import io
from pynn.io import _files, safetensors

DTYPES = ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8", "c8"]


def raw(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], start: int, stop: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    return path


def net() -> pynn.Sequential:
    return pynn.Sequential(
        pynn.Sequential({"in": pynn.Linear(4, 6, seed=1), "act": pynn.LeakyReLU(0.2)}),
        pynn.Residual(pynn.Linear(6, 6, seed=2), "tanh"),
        pynn.Linear(6, 3, bias=False, seed=3),
    )


# ---- arrays ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mmap", [False, True])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_arrays_round_trip(tmp_path_factory: pytest.TempPathFactory, mmap: bool, data: st.DataObject) -> None:
    shapes = hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
    arrays = st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, shapes))
    tensors = data.draw(st.dictionaries(st.text(max_size=6).filter(lambda n: n != "__metadata__"), arrays, max_size=4))
    metadata = data.draw(st.dictionaries(st.text(max_size=4), st.text(), max_size=3))
    path = tmp_path_factory.mktemp("files") / "x.safetensors"
    io.save_file(tensors, path, metadata)
    found, its = io.load_file(path, mmap=mmap)
    assert its == metadata
    assert found.keys() == tensors.keys()
    for name, a in tensors.items():
        assert found[name].dtype == a.dtype
        assert found[name].shape == a.shape
        assert found[name].tobytes() == a.tobytes()
        assert found[name].flags.aligned
        assert found[name].flags.writeable != mmap


def test_any_memory_layout_and_byte_order_is_written(tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    io.save_file({"f": np.asfortranarray(a), "s": a[::2, ::-1], "b": a.astype(">f8"), "list": [1, 2]}, tmp_path / "x")
    found, _ = io.load_file(tmp_path / "x")
    np.testing.assert_array_equal(found["f"], a)
    np.testing.assert_array_equal(found["s"], a[::2, ::-1])
    np.testing.assert_array_equal(found["b"], a)
    np.testing.assert_array_equal(found["list"], [1, 2])


def test_files_are_exchanged_with_safetensors(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    tensors = {f"a.{d}": rng.integers(0, 2, (3, 2)).astype(d) for d in DTYPES} | {"empty": np.zeros((0, 3)), "one": np.array(2.5)}
    io.save_file(tensors, tmp_path / "ours", {"é": "\u2713"})
    theirs.save_file(tensors, tmp_path / "theirs", {"é": "\u2713"})
    read, (ours, metadata) = theirs.load_file(tmp_path / "ours"), io.load_file(tmp_path / "theirs")
    assert metadata == {"é": "\u2713"}
    for name, a in tensors.items():
        for found in (read[name], ours[name]):
            assert found.dtype == a.dtype
            np.testing.assert_array_equal(found, a, strict=True)


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0], [np.inf, 3e38]], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    path = written(tmp_path, raw({"a": entry([2, 2], 0, 8, "BF16")}, halves.tobytes()))
    for mmap in (False, True):
        a = io.load_file(path, mmap=mmap)[0]["a"]
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a.view(np.uint32), halves.astype(np.uint32) << 16)


def test_unusual_header_is_read(tmp_path: Path) -> None:
    """Whitespace anywhere, keys in any order, and an odd length, which makes the arrays unaligned."""
    text = b'{ "a" :\n{"shape":[ 2 ],"data_offsets" : [0,8], "dtype":"F32"}}   '
    for pad in range(4):
        path = written(tmp_path, raw(text + b" " * pad, np.array([1, 2], "<f4").tobytes()))
        for mmap in (False, True):
            a = io.load_file(path, mmap=mmap)[0]["a"]
            assert a.flags.aligned
            np.testing.assert_array_equal(a, [1, 2])


# ---- broken files ---------------------------------------------------------------------------------------------------
ONE = entry([2], 0, 8)
BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a safetensors file: it has only 0 bytes"),
    "seven bytes": (b"\0" * 7, "not a safetensors file: it has only 7 bytes"),
    "no header": (b"\0" * 8, "does not begin"),
    "absurd length": (struct.pack("<Q", 2**63 + 5) + b"{}", "header should have"),
    "length of the whole file": (struct.pack("<Q", 10) + b"{}", "header should have"),
    "no JSON": (raw(b"{hello}"), "syntax error"),
    "text unfinished": (raw(b'{"a'), "syntax error"),
    "brackets": (raw(b'{"a":' + b"[" * 100_000), r"expected b'{'"),
    "a list": (raw(b"[]"), "does not begin"),
    "blank first": (raw(b" {}"), "does not begin"),
    "more behind": (raw(b"{}{}"), "extra data after its end"),
    "bad UTF-8": (raw(b'{"\xff":' + json.dumps(ONE).encode() + b"}", b"\0" * 8), "UTF-8"),
    "half a surrogate": (raw(b'{"\\ud800":' + json.dumps(ONE).encode() + b"}", b"\0" * 8), "UTF-8"),
    "twice": (raw(f'{{"a":{json.dumps(ONE)},"a":{json.dumps(ONE)}}}'.encode(), b"\0" * 8), "duplicate key 'a'"),
    "a key twice": (raw(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8), "duplicate key 'dtype'"),
    "a key more": (raw({"a": {**ONE, "code": "x"}}, b"\0" * 8), "'code'"),
    "a key less": (raw({"a": {"dtype": "F32", "shape": [2]}}), "must have dtype, shape and two data_offsets"),
    "three places": (raw({"a": {**ONE, "data_offsets": [0, 8, 9]}}, b"\0" * 8), "more than 2"),
    "dtype": (raw({"a": {**ONE, "dtype": "F33"}}, b"\0" * 8), "dtype 'F33'"),
    "dtype no text": (raw({"a": {**ONE, "dtype": 3}}, b"\0" * 8), "expected text"),
    "negative": (raw({"a": entry([-2], 0, 8)}, b"\0" * 8), "syntax error"),
    "fraction": (raw(b'{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}', b"\0" * 8), "syntax error"),
    "absurd shape": (raw({"a": entry([2**40, 2**40], 0, 8)}, b"\0" * 8), "too large"),
    "absurd and empty": (raw({"a": entry([0, 2**40, 2**40], 0, 0)}), "too large"),
    "count": (raw({"a": entry([2**63], 0, 8)}, b"\0" * 8), "below 2"),
    "many axes": (raw({"a": entry([1] * 65, 0, 4)}, b"\0" * 4), "more than 64"),
    "size": (raw({"a": entry([3], 0, 8)}, b"\0" * 8), "needs 12 bytes"),
    "backwards": (raw({"a": entry([2], 8, 0)}, b"\0" * 8), "data_offsets"),
    "overlap": (raw({"a": ONE, "b": entry([2], 4, 12)}, b"\0" * 12), "overlaps"),
    "same place": (raw({"a": ONE, "b": ONE}, b"\0" * 8), "overlaps"),
    "hole": (raw({"a": ONE, "b": entry([2], 12, 20)}, b"\0" * 20), "leaves a gap"),
    "hole first": (raw({"a": entry([2], 4, 12)}, b"\0" * 12), "leaves a gap"),
    "cut off": (raw({"a": ONE}, b"\0" * 7), "truncated or damaged"),
    "too long": (raw({"a": ONE}, b"\0" * 9), "truncated or damaged"),
    "metadata no text": (raw({"__metadata__": {"a": 1}}), "expected text"),
    "metadata a list": (raw({"__metadata__": []}), r"expected b'{'"),
    "metadata twice": (raw(b'{"__metadata__":{},"__metadata__":{}}'), "duplicate key"),
    "bool": (raw({"a": entry([1], 0, 1, "BOOL")}, b"\2"), "expected bools of 0 or 1"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("mmap", [False, True])
def test_broken_file_raises_without_allocating(tmp_path: Path, case: str, mmap: bool) -> None:
    content, text = BROKEN[case]
    path = written(tmp_path, content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=text):
            io.load_file(path, mmap=mmap)
        assert tracemalloc.get_traced_memory()[1] < len(content) + 40_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", [b'"%d":{"dtype":"U8","shape":[],"data_offsets":[%d,%d]}', b'"%d":""'])
def test_number_of_entries_is_limited(tmp_path: Path, header: bytes) -> None:
    lines = b",".join(header % ((i, i, i + 1) if b"U8" in header else i) for i in range(10**6))
    path = written(tmp_path, raw(b"{" + lines + b"}" if b"U8" in header else b'{"__metadata__":{' + lines + b"}}", b"\0" * 10**6))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="100,000 entries"):
        io.load_file(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def test_safetensors_package_rejects_the_same_files(tmp_path: Path) -> None:
    """Except for files that only this library rejects: the package accepts duplicate names and uses the last one."""
    safetensors = pytest.importorskip("safetensors")
    theirs = pytest.importorskip("safetensors.numpy")
    stricter = {"blank first", "twice", "a key more", "bool"}
    for case in BROKEN.keys() - stricter:
        with pytest.raises((safetensors.SafetensorError, ValueError)):
            theirs.load_file(written(tmp_path, BROKEN[case][0]))


def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("fuzz") / "m.safetensors"
    net().save(path)
    return path, path.read_bytes()


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_flipped_bits_truncated_and_extended_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Reading a damaged model either raises an error or returns a model with other values."""
    path, good = whole(tmp_path_factory)
    content = bytearray(good)
    header = 8 + int.from_bytes(good[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(content)
    for read in (pynn.load, io.load_file):
        try:
            read(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("seed", range(24))
def test_fuzzed_files(seed: int) -> None:
    """Run the fuzzer briefly; ``python tests/fuzz/files.py --seconds 3600`` runs it longer."""
    done = Counter[str]()
    fuzzer.run(seed, done)
    assert done.total() == fuzzer.EACH


KEYS = ["dtype", "shape", "data_offsets", "a", "__metadata__"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**70) | st.floats() | st.sampled_from(["F32", "class", "Linear", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(header=JSON | st.binary(max_size=60), data=st.binary(max_size=16))
def test_random_headers(tmp_path_factory: pytest.TempPathFactory, header: Any, data: bytes) -> None:
    path = written(tmp_path_factory.mktemp("fuzz"), raw(header, data))
    try:
        arrays, _ = io.load_file(path)
    except ValueError:
        return
    assert sum(a.nbytes for a in arrays.values()) == len(data)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_directory_and_pipe_raise_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkdir(tmp_path / "folder")
    for name in ("pipe", "folder"):
        for read in (pynn.load, io.load_file):
            with pytest.raises(ValueError, match=f"{name}: expected a regular file"):
                read(tmp_path / name)


# ---- writing --------------------------------------------------------------------------------------------------------
def special(folder: Path) -> dict[str, Path]:
    """Return paths of entries that are not regular files."""
    (folder / "directory").mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(folder / "socket"))
    (folder / "loop").symlink_to("loop")
    try:
        os.mknod(folder / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:  # a user who may not create one cannot replace a real one either
        (folder / "device").symlink_to(os.devnull)
    (folder / "link").symlink_to("device")
    return {p.name: p for p in folder.iterdir()} | {"itself": folder, "slash": Path(f"{folder}/directory/")}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("name", ["directory", "pipe", "socket", "loop", "device", "link", "itself", "slash"])
@pytest.mark.parametrize("write", ["save", "save_file", "checkpoint", "log"])
def test_only_a_regular_file_is_replaced(tmp_path: Path, name: str, write: str) -> None:
    path = special(tmp_path)[name]
    before = sorted((p, p.lstat().st_mode) for p in tmp_path.iterdir())
    model, data = pynn.Sequential(pynn.Linear(2, 1)), (np.ones((2, 2)), np.ones(2))
    calls: dict[str, Callable[[], Any]] = {
        "save": lambda: model.save(path),
        "save_file": lambda: io.save_file({"a": np.ones(2)}, path),
        "checkpoint": lambda: model.fit(*data, loss="mse", callbacks=[pynn.Checkpoint(path)]),
        "log": lambda: model.fit(*data, loss="mse", callbacks=[pynn.callbacks.CSVLogger(path)]),
    }
    with pytest.raises(ValueError, match="nothing was written"):
        calls[write]()
    assert sorted((p, p.lstat().st_mode) for p in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name != "posix", reason="this system has other permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o751])
def test_permissions_are_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "m"
    io.save_file({"a": np.ones(2)}, path)
    path.chmod(mode)
    io.save_file({"a": np.zeros(2)}, path)
    assert path.stat().st_mode & 0o7777 == mode
    np.testing.assert_array_equal(io.load_file(path)[0]["a"], 0)


@pytest.mark.skipif(os.name != "posix", reason="this system has other permissions")
def test_new_file_has_default_permissions(tmp_path: Path) -> None:
    io.save_file({"a": np.ones(2)}, tmp_path / "m")
    (tmp_path / "other").touch()
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_symbolic_links_are_kept(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "m"
    for link in (tmp_path / "a", tmp_path / "b"):
        link.symlink_to(target)  # the first write creates it
        io.save_file({"a": np.ones(2)}, link)
        assert link.is_symlink()
    assert os.listdir(tmp_path / "folder") == ["m"]


LONG = ["a" * 255, "\u00e9" * 127, "\U0001f389" * 63]
NAMES = [*LONG, "no extension", "%s%n%d", "{epoch}", "-x", " ", "~", "a\nb", "'\"\\", ".hidden", "a.tmp"]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode, "undecodable"])
@pytest.mark.parametrize("relative", [False, True])
def test_every_name_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, relative: bool) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["\udcff\udc80", os.fsencode("\udcff")] if kind == "undecodable" else [*map(kind, NAMES)]
    for name in names:
        path = name if relative else os.path.join(os.fsencode(tmp_path) if isinstance(name, bytes) else tmp_path, name)
        for _ in range(2):
            io.save_file({"a": np.arange(3)}, path)
        np.testing.assert_array_equal(io.load_file(path)[0]["a"], [0, 1, 2])
    assert len(os.listdir(tmp_path)) == len(names)


@pytest.mark.parametrize("name", ["none/m", "m/", ""])
def test_missing_directory_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((FileNotFoundError, ValueError), match=r"no such directory|expected the name of a file"):
        io.save_file({"a": np.ones(2)}, name)
    assert not os.listdir(tmp_path)


KILLED = """
import os, signal, sys, numpy as np
from pynn import io
from pynn.io import _files
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
io.save_file({"a": np.zeros(1000)}, sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has no signals")
def test_killed_writers_leave_at_most_one_file(tmp_path: Path) -> None:
    path = tmp_path / ("m" * 200)
    io.save_file({"a": np.ones(2)}, path)
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", KILLED, path]).returncode == -signal.SIGKILL
        assert len(os.listdir(tmp_path)) == 2
        np.testing.assert_array_equal(io.load_file(path)[0]["a"], 1)
    io.save_file({"a": np.zeros(2)}, path)
    assert os.listdir(tmp_path) == [path.name]


def test_concurrent_writers_of_one_path(tmp_path: Path) -> None:
    path = tmp_path / "m"

    def write(number: int) -> None:
        for _ in range(20):
            io.save_file({"a": np.full(5000, number), "b": np.full(5000, number)}, path)

    with ThreadPoolExecutor(6) as threads:
        done = [threads.submit(write, number) for number in range(6)]
        while not all(one.done() for one in done):
            if path.exists():
                found, _ = io.load_file(path)
                assert len({*found["a"], *found["b"]}) == 1
    for one in done:
        one.result()
    assert os.listdir(tmp_path) == ["m"]


def test_foreign_file_under_the_temporary_name_is_kept(tmp_path: Path) -> None:
    """A link, a pipe or a hard link under the name of the temporary file is neither followed nor removed."""
    io.save_file({"a": np.ones(2)}, tmp_path / "precious")
    kept = (tmp_path / "precious").read_bytes()
    (tmp_path / ".a.tmp").symlink_to("precious")
    os.link(tmp_path / "precious", tmp_path / ".b.tmp")
    (tmp_path / ".c.tmp").mkdir()
    for name in "abc":
        io.save_file({"a": np.zeros(2)}, tmp_path / name)
        np.testing.assert_array_equal(io.load_file(tmp_path / name)[0]["a"], 0)
    assert (tmp_path / "precious").read_bytes() == kept
    assert sorted(os.listdir(tmp_path)) == [".a.tmp", ".b.tmp", ".c.tmp", "a", "b", "c", "precious"]


# ---- models ---------------------------------------------------------------------------------------------------------
def test_model_round_trip(tmp_path: Path) -> None:
    model, path, x = net(), tmp_path / "m.safetensors", np.ones((5, 4), np.float32)
    model[0].freeze()
    model.save(path)
    again = pynn.load(path)
    assert type(again) is pynn.Sequential
    assert repr(again) == repr(model)
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]
    assert again.predict(x).tobytes() == model.predict(x).tobytes()
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_functional_model_with_shared_layers_round_trip(tmp_path: Path) -> None:
    a, b = pynn.Input(4), pynn.Input(4)
    layer = pynn.Linear(4, 4, dtype="float64", seed=0)
    model = pynn.Model([a, b], {"sum": pynn.Add()(layer(a), layer(b)), "a": pynn.Tanh()(layer(a))})
    twice = pynn.Sequential(layer, "tanh", layer)
    x = np.ones((3, 4))
    model.save(tmp_path / "m")
    twice.save(tmp_path / "t")
    ours, theirs = pynn.load(tmp_path / "m").predict((x, -x)), model.predict((x, -x))
    assert {name: a.tobytes() for name, a in ours.items()} == {name: a.tobytes() for name, a in theirs.items()}
    loaded = pynn.load(tmp_path / "t")
    assert len(loaded.parameters()) == 2
    for m in (loaded, twice):
        m.fit(x, x, loss="mse", epochs=3, seed=0)
    assert loaded.predict(x).tobytes() == twice.predict(x).tobytes()


def test_loss_and_classes_are_saved(tmp_path: Path) -> None:
    """predict_proba, evaluate and labels work as before saving, also after saving a second time."""
    X = np.random.default_rng(0).normal(size=(30, 4)).astype("f4")
    y = np.array(["cat", "dog", "emu"])[np.arange(30) % 3]
    net = pynn.Sequential(pynn.Linear(4, 3, seed=0)).partial_fit(X, y, classes=["cat", "dog", "emu"], seed=0)
    weighted = pynn.CrossEntropyLoss(weight=[1, 2, 3], label_smoothing=np.float32(0.5))
    net.partial_fit(X, y, loss=weighted, seed=0).save(tmp_path / "a")
    pynn.load(tmp_path / "a").save(tmp_path / "b")
    other = pynn.load(tmp_path / "b")
    assert other.predict_proba(X).tobytes() == net.predict_proba(X).tobytes()
    assert other.evaluate(X, np.arange(30) % 3) == net.evaluate(X, np.arange(30) % 3)
    assert not np.isnan(other.health(X, np.arange(30) % 3)["0"].gradient)
    with pytest.warns(UserWarning, match="without the state of its optimizer"):
        other.partial_fit(X, y)
    assert other.classes_.tolist() == ["cat", "dog", "emu"]
    ends = pynn.Sequential(pynn.Linear(4, 1, seed=0), "sigmoid")
    ends.fit(X, np.arange(30) % 2, loss="bce", seed=0)
    ends.save(tmp_path / "c")  # a loss that is computed from logits is saved by name
    assert pynn.load(tmp_path / "c").evaluate(X, np.arange(30) % 2) == ends.evaluate(X, np.arange(30) % 2)


def test_losses_of_several_outputs_are_saved_by_name(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(30, 4)).astype("f4")
    Y = {"sort": np.arange(30) % 3, "size": X[:, 0]}
    x = pynn.Input(4)
    mean, var = pynn.Linear(4, 1, seed=0)(x), pynn.Softplus()(pynn.Linear(4, 1, seed=1)(x))
    net = pynn.Model(x, {"sort": pynn.Linear(4, 3, seed=2)(x), "mean": mean, "var": var})
    targets = {("mean", "var"): Y["size"], "sort": Y["sort"]}
    net.fit(X, targets, loss={("mean", "var"): "gaussian_nll", "sort": "cross_entropy"}, loss_weights={"sort": 0.5}, seed=0)
    net.save(tmp_path / "a")
    assert pynn.load(tmp_path / "a").evaluate(X, targets) == net.evaluate(X, targets)
    net.fit(X, [*targets.values()][::-1], loss=["cross_entropy", "gaussian_nll"], seed=0)
    net.save(tmp_path / "b")
    assert pynn.load(tmp_path / "b").evaluate(X, targets) == net.evaluate(X, targets)


def test_custom_loss_is_not_saved(tmp_path: Path) -> None:
    X = np.eye(4, dtype="f4")
    net = pynn.Sequential(pynn.Linear(4, 1, seed=0))
    net.fit(X, np.ones(4), loss=lambda x, t: (((x[:, 0] - t) ** 2).mean(), 2 * (x - t[:, None]) / len(x)), seed=0)
    net.save(tmp_path / "a")
    with pytest.raises(ValueError, match="loss: expected one"):
        pynn.load(tmp_path / "a").evaluate(X, np.ones(4))


@pytest.mark.parametrize(
    "fitted",
    [3, {"loss": "mse"}, {"loss": "reul", "loss_weights": None}, {"loss": 3, "loss_weights": None}, {"loss": [[]], "loss_weights": ["x"]},
     {"loss": {"class": "FunctionLoss"}, "loss_weights": None}, {"loss": {"class": "MSELoss", "delta": 1}, "loss_weights": None},
     {"loss": {"named": [3]}, "loss_weights": None}, {"classes": [[1], 2]}, {"classes": {"a": 1}}, {"classes": [None]}],
)  # fmt: skip
def test_broken_description_of_the_loss_raises(tmp_path: Path, fitted: Any) -> None:
    net = pynn.Sequential(pynn.Linear(2, 1))
    facts = json.loads(io.describe(net)) | {"fitted": fitted}
    io.save_file(net.state_dict(), tmp_path / "a", {io.ARCHITECTURE: json.dumps(facts)})
    with pytest.raises(ValueError, match="cannot build a model"):
        pynn.load(tmp_path / "a")


def test_loading_draws_no_seed(tmp_path: Path) -> None:
    net().save(tmp_path / "m")
    pynn.manual_seed(3)
    first = pynn.Linear(2, 2).weight.copy()
    pynn.manual_seed(3)
    pynn.load(tmp_path / "m")
    assert pynn.Linear(2, 2).weight.tobytes() == first.tobytes()


STEP = {"layer": 0, "inputs": [0]}
WIDE = {"class": "Sequential", "layers": [{"class": "ReLU"}] * 9000}


def architecture(edit: Callable[[Any], Any]) -> bytes:
    """Return the content of a file of a net whose architecture ``edit`` has changed."""
    facts = {"version": 1, "model": {"class": "Sequential", "layers": [{"class": "Linear", "in_features": 2, "out_features": 1}]}}
    facts |= {"frozen": [], "shared": {}}
    changed = edit(facts) or facts
    text = changed if isinstance(changed, str) else json.dumps(changed)
    header = {"__metadata__": {"pynn": text}, "0.weight": ONE | {"shape": [1, 2]}, "0.bias": entry([1], 8, 12)}
    return raw(header, b"\0" * 12)


def change(*path: Any, to: Any) -> Callable[[Any], None]:
    def edit(facts: Any) -> None:
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = to

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        change("model", "class", to="object"),
        change("model", "class", to=["Linear"]),
        change("model", "layers", 0, "class", to="os.system"),
        change("model", "layers", 0, "in_features", to=3),
        change("model", "layers", 0, "in_features", to=2**31),
        change("model", "layers", 0, to={"class": "Linear", "in_features": 2**24, "out_features": 2**24}),
        change("model", "layers", 0, "surprise", to=1),
        change("model", "layers", to=None),
        change("model", "layers", to=[{"class": "ReLU"}] * 20_001),
        change("model", to=[]),
        change("frozen", to=["1.weight"]),
        change("model", "layers", to=[{"class": "Linear", "in_features": 8000, "out_features": 8000}] * 300),
        change("model", "layers", 0, to={"class": "Linear", "in_features": 1e9, "out_features": 1}),
        change("model", "layers", 0, to={"class": "Linear", "in_features": True, "out_features": 1}),
        change("model", "layers", 0, to={"class": "Conv2d", "in_channels": 8000, "out_channels": 8000, "kernel_size": 3}),
        change("model", "layers", 0, to={"class": "Conv2d", "in_channels": 8000, "out_channels": 8000, "kernel_size": [100, 100]}),
        change("model", "layers", 0, to={"class": "Embedding", "num_embeddings": 2**20, "embedding_dim": 2**9}),
        change("model", "layers", 0, to={"class": "Bilinear", "in1_features": 900, "in2_features": 900, "out_features": 900}),
        change("model", "layers", 0, to={"class": "BatchNorm1d", "num_features": 2**25}),
        change("model", "layers", 0, to={"class": "LayerNorm", "normalized_shape": [2**13, 2**13]}),
        change("model", "layers", 0, to={"class": "A" * 10**6}),
        change("model", "layers", 0, to={"class": "Linear", "in_features": 2, "out_features": 1, "seed": 10**4000}),
        change("model", "layers", 0, to={"class": "Activation", "name": "a", "f": "os.system", "df": "print"}),
        change("model", "names", to=["x" * 60_000]),
        change("model", to={"class": "Dropout", "p": float("nan")}),
        change("model", to={"class": "Model", "layers": [{"class": "ReLU"}], "inputs": [[2]], "steps": [STEP] * 20_001, "outputs": [1]}),
        change("model", to={"class": "Model", "layers": [WIDE], "inputs": [[2]], "steps": [STEP] * 9000, "outputs": [1]}),
        change("model", to={"class": "Model", "layers": [], "inputs": [[2**40]], "steps": [], "outputs": [0]}),
        change("model", to={"class": "Model", "layers": [{"class": "ReLU"}], "inputs": [[2]], "steps": [STEP], "outputs": [9]}),
        change("shared", to={"0.weight": "0.bias"}),
        change("shared", to={"0.weight": "nobody"}),
        lambda _: 3,
        lambda facts: {"model": facts["model"]},
        lambda facts: json.dumps(facts).replace('"class"', '"class": "ReLU", "class"'),
        lambda facts: json.dumps(facts).replace("[", "[" * 100_000),
        lambda facts: json.dumps(facts).replace("[", '[{"class": "Sequential", "layers": [' * 50_000),
        lambda facts: json.dumps(facts).replace("[", "[" + "[]," * 10**6),
        lambda facts: json.dumps(facts) + " " * 2**24,
        lambda facts: json.dumps(facts).replace("2", "9" * 5000),
        lambda facts: " ",
    ],
)
def test_broken_architecture_raises(tmp_path: Path, edit: Callable[[Any], Any]) -> None:
    path = written(tmp_path, architecture(edit))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="cannot build a model") as error:
        pynn.load(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_file_truncated_during_reading_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pynn.Sequential(pynn.Linear(100, 100, seed=0)).save(tmp_path / "m")  # larger than the read buffer
    read = safetensors._read_header

    def then_cut(*args: Any) -> Any:
        found = read(*args)
        os.truncate(tmp_path / "m", found[2] + 100)
        return found

    monkeypatch.setattr(safetensors, "_read_header", then_cut)
    with pytest.raises(ValueError, match="cut off while it was read"):
        pynn.load(tmp_path / "m")


def test_mapped_arrays_survive_replacement_of_the_file(tmp_path: Path) -> None:
    model = net()
    model.save(tmp_path / "m")
    arrays, _ = io.load_file(tmp_path / "m", mmap=True)
    pynn.Sequential(pynn.Linear(1, 1)).save(tmp_path / "m")
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(arrays[name], a)


def test_file_without_architecture_raises(tmp_path: Path) -> None:
    io.save_file({"weight": np.ones(2)}, tmp_path / "w")
    with pytest.raises(ValueError, match="load_state_dict"):
        pynn.load(tmp_path / "w")


def test_unsupported_values_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="dtype"):
        io.save_file({"a": np.array(["text"])}, tmp_path / "x")
    with pytest.raises(TypeError, match="expected a mapping from str to str"):
        io.save_file({}, tmp_path / "x", {"a": 1})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="name"):
        io.save_file({"__metadata__": np.ones(1)}, tmp_path / "x")
    assert not os.listdir(tmp_path)


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    io.save_file({"a": np.ones(2)}, path)

    def full(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        io.save_file({"a": np.zeros(2)}, path)
    monkeypatch.undo()
    np.testing.assert_array_equal(io.load_file(path)[0]["a"], [1, 1])
    assert os.listdir(tmp_path) == ["m"]


# ---- shared layers ----------------------------------------------------------------------------------------------------
def check_same_structure(net: pynn.Layer, other: pynn.Layer) -> None:
    """Check that two nets have equal layers at the same positions."""
    numbers = [{id(layer): i for i, layer in enumerate(one.modules())} for one in (net, other)]
    places = [[(path, known[id(layer)]) for path, layer in every(one)] for known, one in zip(numbers, (net, other), strict=True)]
    assert places[0] == places[1]
    assert len(numbers[0]) < len(places[0])


def every(layer: pynn.Layer, path: str = "") -> list[tuple[str, pynn.Layer]]:
    return [(path, layer), *(found for name, one in layer._children().items() for found in every(one, f"{path}.{name}"))]


def drawn(layer: pynn.Layer) -> pynn.Model:
    x = pynn.Input(3)
    return pynn.Model(x, layer(pynn.Sequential(layer, "relu")(layer(x))))


SHARED: dict[str, Callable[[pynn.Layer], pynn.Layer]] = {
    "row": lambda a: pynn.Sequential(a, "tanh", a),
    "names": lambda a: pynn.Sequential({"first": a, "act": pynn.ReLU(), "again": a}),
    "nested": lambda a: pynn.Sequential(pynn.Sequential(a, "tanh"), a, pynn.Sequential(pynn.Sequential(a))),
    "nets": lambda a: pynn.Sequential(b := pynn.Sequential(a, "relu"), a, b),
    "drawn": drawn,
    "drawn in a row": lambda a: pynn.Sequential(drawn(a), a),
    "shortcut": lambda a: pynn.Residual(a, "relu", a, shortcut=a),
    "branches": lambda a: pynn.Sequential(pynn.Add(a, pynn.Sequential(a, "relu")), a),
    "two": lambda a: pynn.Sequential(a, b := pynn.Linear(3, 3, seed=5), b, a),
}


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("way", ["file", "config", "json"])
@pytest.mark.parametrize("layer", [lambda: pynn.Linear(3, 3, seed=1), lambda: pynn.BatchNorm1d(3), lambda: pynn.Dropout(0.5, seed=3)])
def test_shared_layers_stay_shared(tmp_path: Path, kind: str, way: str, layer: Callable[[], pynn.Layer]) -> None:
    model = SHARED[kind](layer())
    if way == "file":
        io.save(model, tmp_path / "m")
        again = pynn.load(tmp_path / "m")
    else:
        config = model.get_config()
        again = type(model).from_config(config if way == "config" else json.loads(json.dumps(config)))
    check_same_structure(model, again)
    assert again.get_config() == model.get_config()
    if way == "file":
        x = np.ones((4, 3), np.float32)
        assert again.eval()(x).tobytes() == model.eval()(x).tobytes()


def test_layers_that_share_one_array_remain_separate(tmp_path: Path) -> None:
    a, b = pynn.Linear(3, 3), pynn.Linear(3, 3)
    b._parameters["weight"] = a._parameters["weight"]
    pynn.Sequential(a, b).save(tmp_path / "m")
    again = pynn.load(tmp_path / "m")
    assert again[0] is not again[1]
    assert len(again.parameters()) == 3


@pytest.mark.parametrize(
    "layers",
    [
        [{"shared layer": 0}],
        [{"class": "ReLU"}, {"shared layer": 1}],
        [{"class": "ReLU", "shared layer": []}, {"shared layer": []}],
        [{"class": "Sequential", "layers": [{"shared layer": 0}], "shared layer": 0}],
        [{"class": "Sequential", "layers": [{"class": "ReLU"}] * 2, "shared layer": 0}, {"shared layer": 0}, 3],
    ],
)
def test_broken_references_to_layers_raise(tmp_path: Path, layers: Any) -> None:
    path = written(tmp_path, architecture(change("model", "layers", to=layers)))
    with pytest.raises(ValueError, match="cannot build a model"):
        pynn.load(path)


def test_references_do_not_multiply(tmp_path: Path) -> None:
    """Forty nested nets that each contain the previous one twice would have 2**40 layers."""
    inner: Any = {"class": "ReLU", "shared layer": 0}
    for i in range(1, 40):
        inner = {"class": "Sequential", "layers": [inner, {"shared layer": i - 1}], "shared layer": i}
    path = written(tmp_path, architecture(change("model", "layers", to=[inner])))
    with pytest.raises(ValueError, match="20000 layers"):
        pynn.load(path)


# ---- other file formats, and unknown layers --------------------------------------------------------------------------
def zipped(**contents: bytes) -> bytes:
    whole = streams.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return whole.getvalue()


OTHERS: dict[str, tuple[bytes, str]] = {
    "torch": (zipped(m__data_dot_pkl=b"", m__data__0=b""), r"PyTorch file \(\.pt.*torch\.load.*load_state_dict"),
    "old torch": (b"\x80\x02" + pickle.dumps(0x1950A86A20F9469CFC6C, 2)[2:] + pickle.dumps({}, 2), "before PyTorch 1.6.*load_state_dict"),
    "pickle": (pickle.dumps({"a": 1}), "is a pickle.*code"),
    "old pickle": (pickle.dumps({"a": 1}, 2), "is a pickle"),
    "npz": (zipped(a_dot_npy=b"", b_dot_npy=b""), r"\.npz file.*numpy\.load"),
    "npy": (b"\x93NUMPY\1\0v\0{", r"\.npy file.*numpy\.load"),
    "keras": (zipped(config_dot_json=b"", model_dot_weights_dot_h5=b""), r"\.keras file.*from_keras"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5 file.*from_keras"),
    "zip": (zipped(a_dot_txt=b""), "zip archive"),
    "cut zip": (zipped(a_dot_txt=b"")[:40], "zip archive"),
    "joblib": (zlib.compress(pickle.dumps(1), 3), "joblib"),
    "gzip": (gzip.compress(b""), "gzip"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "Git LFS pointer.*git lfs pull"),
    "page": (b"<!DOCTYPE html><title>404</title>", "HTML"),
}


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("name", ["model.safetensors", "model"])
def test_other_formats_are_recognized_by_content(tmp_path: Path, case: str, name: str) -> None:
    content, text = OTHERS[case]
    path = tmp_path / name
    path.write_bytes(content)
    model = pynn.Sequential(pynn.Linear(2, 1))
    resumed = [np.ones((2, 2)), np.ones(2)], {"loss": "mse", "resume_from": path}
    for read in (pynn.load, io.load_file, lambda _: model.fit(*resumed[0], **resumed[1])):
        with pytest.raises(ValueError, match=text) as error:
            read(path)
        assert str(path) in str(error.value)


def test_header_that_resembles_another_format_is_read(tmp_path: Path) -> None:
    """The first bytes of a file are the length of its header, and may resemble another format."""
    text = json.dumps({"a": ONE}, separators=(",", ":")).encode()
    for length in (0x3C, 0x9C78, 0x8B1F):
        path = written(tmp_path, struct.pack("<Q", length) + text.ljust(length) + b"\0" * 8)
        assert "a" in io.load_file(path)[0]


UNKNOWN = """
import sys, pynn
class Twice(pynn.Layer):
    def forward(self, x): return 2 * x
    def backward(self, gy): return 2 * gy
if __name__ == "__main__":
    Twice.__module__ = sys.argv[2]
    pynn.Sequential(Twice(), pynn.Linear(2, 2)).save(sys.argv[1])
"""


@pytest.mark.parametrize("module", ["my_package.my_layers", "__main__"])
def test_unknown_custom_layer_is_reported_with_its_module(tmp_path: Path, module: str) -> None:
    subprocess.run([sys.executable, "-c", UNKNOWN, tmp_path / "m", module], check=True)
    text = "'my_package.my_layers', which defines it" if "." in module else "define or import it"
    with pytest.raises(ValueError, match=f"custom layer 'Twice'; (import )?{text}"):
        pynn.load(tmp_path / "m")


def test_unknown_class_recommends_importing_it(tmp_path: Path) -> None:
    path = written(tmp_path, architecture(change("model", "layers", 0, "class", to="Twice")))
    with pytest.raises(ValueError, match="import the module that defines its class first: unknown layer class 'Twice'"):
        pynn.load(path)


@pytest.mark.parametrize("code", ["F8_E4M3", "F8_E5M2"])
def test_float8_is_widened(tmp_path: Path, code: str) -> None:
    """Expected values from the definition of the dtypes: OFP8 1.0, table 1."""
    path = written(tmp_path, raw({"a": entry([256], 0, 256, code)}, bytes(range(256))))
    for mmap in (False, True):
        a = io.load_file(path, mmap=mmap)[0]["a"]
        assert a.dtype == np.float32
        small, most, nans = (2.0**-9, 448, 2) if code == "F8_E4M3" else (2.0**-16, 57344, 6)
        assert (a[1], np.nanmax(a[np.isfinite(a)]), np.isnan(a).sum()) == (small, most, nans)
        assert np.isinf(a).sum() == (0 if code == "F8_E4M3" else 2)
        np.testing.assert_array_equal(a[128:], -a[:128])
        assert a[0x38 if code == "F8_E4M3" else 0x3C] == 1


LIMITED = """
import resource, sys, numpy as np, pynn
limit = int(open("/proc/self/statm").read().split()[0]) * 4096 + (int(sys.argv[2]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    model = pynn.load(sys.argv[1])
except MemoryError as error:
    print("MemoryError", error)
else:
    print("loaded", model)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell how much memory a process has")
def test_out_of_memory_raises_memory_error(tmp_path: Path) -> None:
    """Memory may run out while the file is read, layers are created, or values are copied."""
    pynn.Sequential(pynn.Linear(2000, 2000, seed=0), pynn.Linear(2000, 2000, seed=0)).save(tmp_path / "m")  # 32 MB
    seen = set()
    for megabytes in (8, 24, 40, 56, 72, 88, 400):
        done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path / "m", str(megabytes)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), (megabytes, done.stderr)
        seen.add(done.stdout.split()[0])
    assert seen == {"MemoryError", "loaded"}


# ---- Keras ----------------------------------------------------------------------------------------------------------
def images() -> pynn.Sequential:
    shared = pynn.Linear(3, 3, seed=3)
    head = pynn.Flatten(), pynn.BatchNorm1d(24), "relu", pynn.Linear(24, 3, seed=2), shared, "tanh", shared
    return pynn.Sequential(pynn.Conv2d(1, 4, 2, seed=0), pynn.PReLU(4), pynn.Conv2d(4, 4, 2, groups=4, seed=1), *head)


def test_keras_names_and_shapes() -> None:
    expected = {"0/kernel": (2, 2, 1, 4), "0/bias": (4,), "1/alpha": (4,), "2/kernel": (2, 2, 1, 4), "2/bias": (4,)}
    expected |= {f"4/{name}": (24,) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    expected |= {"6/kernel": (24, 3), "6/bias": (3,), "7/kernel": (3, 3), "7/bias": (3,)}
    assert {name: a.shape for name, a in io.to_keras(images(), shape=(1, 4, 5)).items()} == expected


def test_features_after_flatten_are_permuted() -> None:
    """Keras's feature (h, w, c) corresponds to (c, h, w) here, for images of height 2 and width 3."""
    model = images()
    model[6].weight[0] = model[4].weight = np.arange(24)
    found = io.to_keras(model, shape=(1, 4, 5))
    order = [12 * 0 + 6 * c + 3 * h + w for h in range(2) for w in range(3) for c in range(4)]
    np.testing.assert_array_equal(found["6/kernel"][:, 0], order)
    np.testing.assert_array_equal(found["4/gamma"], order)


@pytest.mark.parametrize("named", [True, False])
def test_weights_round_trip_through_keras(named: bool) -> None:
    model, other = images(), images()
    rng = np.random.default_rng(0)
    model.load_state_dict({name: rng.normal(size=a.shape) for name, a in model.state_dict().items()})
    like = {f"net/{name}": a for name, a in io.to_keras(model, shape=(1, 4, 5)).items()}
    like["net/1/alpha"] = like["net/1/alpha"].reshape(1, 1, 4)
    like["net/2/kernel"] = like["net/2/kernel"].reshape(2, 2, 4, 1)
    other.load_state_dict(io.from_keras(like if named else [*like.values()], other, shape=(1, 4, 5)))
    for name, a in model.state_dict().items():
        if name != "4.num_batches_tracked":
            np.testing.assert_array_equal(other.state_dict()[name], a)
    for name, a in io.to_keras(model, like, shape=(1, 4, 5)).items():
        np.testing.assert_array_equal(a, like[name], strict=True)


KERAS_ERRORS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "shape": (lambda: io.from_keras([np.ones((4, 6)), np.ones(5)], pynn.Linear(4, 5)), ValueError, r"kernel has shape \(4, 6\).*\(4, 5\)"),
    "number": (lambda: io.from_keras([np.ones((4, 5))], pynn.Linear(4, 5)), ValueError, "2 arrays, got 1; expected /kernel, /bias"),
    "layers": (lambda: io.from_keras({"a/kernel": 1, "b/kernel": 1}, pynn.Linear(4, 5)), ValueError, r"1 layers .*, got 2 \(a, b\)"),
    "a name": (lambda: io.from_keras({"in/kernel": 1, "x/kernel": 1}, net()[0]), KeyError, r"unexpected \['x'\]"),
    "variable": (lambda: io.from_keras({"in/kernel": 1, "in/gamma": 1}, net()[0]), KeyError, "kernel, bias, but .* has kernel, gamma"),
    "no layer": (lambda: io.to_keras(pynn.Sequential(pynn.Bilinear(2, 2, 2))), TypeError, r"layer 0 \(Bilinear\)"),
    "a norm of axes": (lambda: io.to_keras(pynn.LayerNorm((2, 3))), TypeError, "LayerNorm"),
    "size": (lambda: io.to_keras(images()), ValueError, "shape: expected the shape of one sample"),
    "halves": (
        lambda: io.to_keras(pynn.Sequential(pynn.Conv1d(1, 2, 1), pynn.Flatten(), pynn.GLU(), pynn.Linear(2, 1)), shape=(1, 2)),
        ValueError,
        "Permute",
    ),
    "kind": (lambda: io.from_keras(3, net()), TypeError, "got int"),
    "no file": (lambda: io.from_keras("nothing.keras", net()), (FileNotFoundError, ImportError), "h5py|nothing.keras"),
}


@pytest.mark.parametrize("case", KERAS_ERRORS)
def test_weights_that_do_not_match_keras_raise(case: str) -> None:
    call, error, text = KERAS_ERRORS[case]
    with pytest.raises(error, match=text):
        call()


def test_permute_before_flatten_needs_no_reordering() -> None:
    """A net that flattens in Keras's order needs no reordering."""
    layers = pynn.Conv1d(1, 2, 1, seed=0), pynn.Permute((0, 2, 1)), pynn.Flatten(), pynn.Linear(6, 1, seed=1)
    model = pynn.Sequential(*layers)
    np.testing.assert_array_equal(io.to_keras(model, shape=(1, 3))["3/kernel"], model[3].weight.T)


def test_keras_files_require_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="pip install h5py"):
        io.from_keras(tmp_path / "m.keras", net())


# ---- states of PyTorch -----------------------------------------------------------------------------------------------
def normed() -> pynn.Sequential:
    return pynn.Sequential({"body": pynn.Sequential(pynn.Linear(3, 4, seed=0), pynn.BatchNorm1d(4)), "head": pynn.Linear(4, 2, seed=1)})


def wrapped(state: dict[str, Any], place: str, wrapper: str) -> dict[str, Any]:
    """Return a state with the names that a wrapper around the net or a sublayer produces."""
    return {f"{place}{wrapper}{name.removeprefix(place)}" if name.startswith(place) else name: a for name, a in state.items()}


STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "plain": lambda s: s,
    "DataParallel": lambda s: wrapped(s, "", "module."),
    "a part in DataParallel": lambda s: wrapped(s, "body.", "module."),
    "compiled": lambda s: wrapped(s, "", "_orig_mod."),
    "a compiled part": lambda s: wrapped(s, "head.", "_orig_mod."),
    "both": lambda s: wrapped(s, "", "module._orig_mod."),
    "both the other way": lambda s: wrapped(s, "", "_orig_mod.module."),
    "FSDP": lambda s: wrapped(s, "body.", "_fsdp_wrapped_module."),
    "averaged": lambda s: {"n_averaged": np.array(3), **wrapped(s, "", "module.")},
    "checkpoint": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {}, "param_groups": []}, "loss": 0.5},
    "tutorial": lambda s: {"epoch": 3, "model_state_dict": s, "optimizer_state_dict": {}, "loss": 0.5},
    "model": lambda s: {"model": s, "optimizer": {}},
    "all of it": lambda s: {"state_dict": wrapped(s, "", "module."), "epoch": 1},
    "without counts": lambda s: {name: a for name, a in s.items() if "num_batches" not in name},
    "all of it without counts": lambda s: {"model": wrapped({n: a for n, a in s.items() if "num_batches" not in n}, "", "_orig_mod.")},
}


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("strict", [True, False])
def test_states_of_wrapped_models_load(kind: str, strict: bool) -> None:
    model, state = normed(), {name: np.full(a.shape, i) for i, (name, a) in enumerate(normed().state_dict().items())}
    unmatched = model.load_state_dict(STATES[kind](state), strict=strict)
    assert unmatched == ([], [])
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(a, 0 if "counts" in kind and "num_batches" in name else state[name])


def test_wrapper_names_in_a_file(tmp_path: Path) -> None:
    state = normed().state_dict()
    io.save_file(wrapped(state, "", "module."), tmp_path / "m")
    model = normed()
    model.load_state_dict(io.load_file(tmp_path / "m")[0])
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(a, state[name])


def test_layer_named_module_keeps_its_name() -> None:
    model = pynn.Sequential({"module": pynn.Linear(2, 2, seed=0), "out": pynn.Linear(2, 1, seed=1)})
    model.load_state_dict(model.state_dict())
    with pytest.raises(KeyError, match=r"unexpected \['module.module.weight'"):
        model.load_state_dict(wrapped(model.state_dict(), "module.", "module."))


STATE_ERRORS: dict[str, tuple[Callable[[dict[str, Any]], Any], type[Exception], str]] = {
    "a prefix": (lambda s: {f"net.model.{n}": a for n, a in s.items()}, KeyError, r"name.removeprefix\('net.model.'\)"),
    "averages too": (lambda s: {"ema": s, "raw": s}, ValueError, r"entries ema, raw.*state\['ema'\] or state\['raw'\]"),
    "a path": (lambda s: "m.safetensors", TypeError, "got str; pass pynn.io.load_file"),
    "a module": (lambda s: normed(), TypeError, r"got Sequential; pass its state_dict\(\)"),
    "pairs": (lambda s: [*s.items()], TypeError, "expected a mapping from names to arrays, got list"),
    "a shape": (lambda s: {**s, "head.bias": np.ones(3)}, ValueError, r"head.bias has shape \(3,\), expected \(2,\)"),
    "means missing": (lambda s: {n: a for n, a in s.items() if "running" not in n}, KeyError, r"missing \['body.1.running_mean', "),
    "text": (lambda s: {**s, "head.bias": ["a", "b"]}, TypeError, "head.bias: dtype"),
}


@pytest.mark.parametrize("case", STATE_ERRORS)
def test_states_that_do_not_match_raise_helpful_errors(case: str) -> None:
    make, error, text = STATE_ERRORS[case]
    model = normed()
    before = model.state_dict()
    with pytest.raises(error, match=text):
        model.load_state_dict(make(normed().state_dict()))
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


HELD = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has other locks")
def test_lock_of_a_dead_writer_only_delays_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process that inherited the temporary file of a dead parent keeps its lock."""
    monkeypatch.setattr(_files, "_LONGEST_WAIT", 0.3)
    with subprocess.Popen([sys.executable, "-c", HELD, tmp_path / ".m.tmp"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        io.save_file({"a": np.ones(2)}, tmp_path / "m")
        other.kill()
    assert sorted(os.listdir(tmp_path)) == [".m.tmp", "m"]
    io.save_file({"a": np.zeros(2)}, tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]

"""Read and write named arrays as safetensors files (https://github.com/huggingface/safetensors).

A file consists of the length of the header (8 bytes, little-endian), the header (a JSON object with each array's dtype, shape and
offsets) and the bytes of the arrays. It holds data and no code, so files from untrusted sources are safe to read.
"""

from __future__ import annotations

import json
import math
import mmap as _mmap
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._dtypes import from_bfloat16, from_float8
from ._files import foreign_format, opened, replacing

__all__ = ["load_file", "save_file"]


def __dir__() -> list[str]:
    return __all__


HEADER_LIMIT = 100_000_000
"""The largest header that the format allows, in bytes."""
ENTRY_LIMIT = 100_000
"""The largest number of arrays, and of metadata entries, in a file."""
_MOST_DIMS = 64
_MOST_BYTES = 2**63 - 1

_DTYPES = {
    **{"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2"},
    **{"F8_E4M3": "u1", "F8_E5M2": "u1", "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8"},
}
_WIDENED = ("BF16", "F8_E4M3", "F8_E5M2")
"""Dtypes that NumPy lacks. They are read as float32 and never written."""
_CODES = {np.dtype(word): code for code, word in _DTYPES.items() if code not in _WIDENED}


class _Entry(NamedTuple):
    """The location of an array: its bytes are at offsets ``start`` to ``stop`` after the header."""

    code: str
    shape: tuple[int, ...]
    start: int
    stop: int


# ---- reading the header ----------------------------------------------------------------------------------------------
_TOKEN = re.compile(rb'[ \t\r\n]*+("(?:[^"\\]++|\\.)*+"|[{}\[\]:,]|(?:0|[1-9][0-9]{0,19})(?![0-9.eE]))', re.DOTALL)


class _Header:
    """A parser for exactly the JSON of the format, whose memory is bounded by the size of the header."""

    def __init__(self, text: bytes, path: str) -> None:
        self.text, self.path, self.at = text, path, 0

    def fail(self, what: str) -> NoReturn:
        raise ValueError(f"{self.path}: {what}")

    def token(self) -> bytes:
        """Return the next bracket, comma, colon, string or non-negative integer."""
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            self.fail(f"the header has a syntax error at byte {self.at}: {self.text[self.at : self.at + 20]!r}")
        self.at = found.end()
        return found[1]

    def expect(self, mark: bytes) -> None:
        got = self.token()
        if got != mark:
            self.fail(f"the header has {got[:40]!r} before byte {self.at}, expected {mark!r}")

    def string(self, what: str) -> str:
        got = self.token()
        if got[:1] != b'"':
            self.fail(f"{what}: expected text, got {got[:40]!r}")
        try:
            text = str(json.loads(got.decode()))
            text.encode()
        except ValueError:  # UnicodeError is one
            self.fail(f"{what}: {got[:40]!r} is not valid UTF-8 JSON text")
        return text

    def count(self, what: str) -> int:
        got = self.token()
        if not got.isdigit() or int(got) > _MOST_BYTES:
            self.fail(f"{what}: expected a count below 2**63, got {got[:40]!r}")
        return int(got)

    def counts(self, what: str, most: int) -> tuple[int, ...]:
        """Return a list of counts, no longer than ``most``."""
        self.expect(b"[")
        found: list[int] = []
        if self.peek() == b"]":
            self.token()
            return ()
        while True:
            found.append(self.count(what))
            if len(found) > most:
                self.fail(f"{what}: more than {most} numbers")
            if self.ends(b"]", what):
                return tuple(found)

    def peek(self) -> bytes:
        at = self.at
        token = self.token()
        self.at = at
        return token

    def ends(self, end: bytes, what: str) -> bool:
        """Consume a comma or the end mark, and return whether it was the end mark."""
        got = self.token()
        if got not in (b",", end):
            self.fail(f"{what}: expected ',' or {end!r}, got {got[:40]!r}")
        return got == end

    def keys(self, what: str) -> Iterator[str]:
        """Yield the keys of an object; the caller must read the value after each. A duplicate key is an error."""
        self.expect(b"{")
        if self.peek() == b"}":
            self.token()
            return
        seen: set[str] = set()
        while True:
            key = self.string(f"a name in {what}")
            if key in seen:
                self.fail(f"{what} has a duplicate key {key[:80]!r}")
            seen.add(key)
            if len(seen) > ENTRY_LIMIT:
                self.fail(f"{what} has more than {ENTRY_LIMIT:,} entries")
            self.expect(b":")
            yield key
            if self.ends(b"}", what):
                return

    def read(self) -> tuple[dict[str, _Entry], dict[str, str]]:
        """Return the entries in the order of their offsets, and the metadata."""
        if self.text[:1] != b"{":
            self.fail("the header does not begin with '{'; expected a safetensors file")
        entries: dict[str, _Entry] = {}
        metadata: dict[str, str] = {}
        for name in self.keys("the header"):
            if name == "__metadata__":
                metadata = {key: self.string("the metadata") for key in self.keys("the metadata")}
            else:
                entries[name] = self.entry(name)
        if self.text[self.at :].strip(b" \t\r\n"):
            self.fail(f"the header has extra data after its end, at byte {self.at}")
        return dict(sorted(entries.items(), key=lambda item: item[1][2:])), metadata

    def entry(self, name: str) -> _Entry:
        what = f"array {name[:80]!r}"
        code, shape, places = "", None, None
        for key in self.keys(what):
            if key == "dtype":
                code = self.string(what)
            elif key == "shape":
                shape = self.counts(f"the shape of {what}", _MOST_DIMS)
            elif key == "data_offsets":
                places = self.counts(f"the data_offsets of {what}", 2)
            else:
                self.fail(f"{what} has {key[:80]!r}; expected dtype, shape and data_offsets")
        if not code or shape is None or places is None or len(places) != 2:
            self.fail(f"{what} must have dtype, shape and two data_offsets")
        if code not in _DTYPES:
            self.fail(f"{what} has dtype {code[:40]!r}; expected one of {', '.join(_DTYPES)}")
        size = np.dtype(_DTYPES[code]).itemsize
        if math.prod(n for n in shape if n) * size > _MOST_BYTES:
            self.fail(f"{what} has the shape {shape}, which is too large")
        if places[1] - places[0] != math.prod(shape) * size:
            needs = f"{what} of shape {shape} and dtype {code} needs {math.prod(shape) * size} bytes"
            self.fail(f"{needs}, but its data_offsets are {list(places)}")
        return _Entry(code, shape, *places)


def _read_header(file: BinaryIO, path: str) -> tuple[dict[str, _Entry], dict[str, str], int]:
    """Return the entries, the metadata and the position of the data, after checking them against the file's size."""
    size = os.fstat(file.fileno()).st_size
    other = foreign_format(file, "safetensors")
    if other is not None:
        raise ValueError(f"{path}: is not a safetensors file: it {other}")
    first = file.read(8)
    if len(first) < 8:
        raise ValueError(f"{path}: is not a safetensors file: it has only {len(first)} bytes")
    length = int.from_bytes(first, "little")
    if length > min(size - 8, HEADER_LIMIT):
        allowed = f"the file has only {size - 8} more, and at most {HEADER_LIMIT} are allowed; it is damaged, or not a safetensors file"
        raise ValueError(f"{path}: its header should have {length} bytes, but {allowed}")
    text = file.read(length)
    if len(text) < length:
        raise ValueError(f"{path}: the file was cut off while it was read")
    entries, metadata = _Header(text, path).read()
    end = 0
    for name, entry in entries.items():
        if entry.start != end:
            how = "overlaps the previous array" if entry.start < end else "leaves a gap after the previous array"
            at = f"array {name[:80]!r}, at byte {entry.start} of the data,"
            raise ValueError(f"{path}: {at} {how}, which ends at {end}")
        end = entry.stop
    if 8 + length + end != size:
        held = size - 8 - length
        raise ValueError(f"{path}: the arrays need {end} bytes, but the file has {held}; it is truncated or damaged")
    return entries, metadata, 8 + length


# ---- arrays by name --------------------------------------------------------------------------------------------------
def load_file(path: str | os.PathLike[str], *, mmap: bool = False) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a safetensors file by name, and its metadata.

    The whole header is checked before any array is read: lengths, dtypes, shapes, offsets without overlaps or gaps, and duplicate
    names. Memory use is bounded by the size of the file, except that dtypes which NumPy lacks become float32: bfloat16 (twice the
    size) and 8-bit floats (four times).

    Parameters
    ----------
    path : str or path
        The file to read.
    mmap : bool
        Whether the arrays are read-only views of the file, loaded on first access, instead of copies. The file must then not be
        truncated while they are in use; replacing it by another file is safe. Unaligned arrays are copied.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
    metadata : dict of str to str

    Raises
    ------
    ValueError
        If the file is not a valid, complete safetensors file. The message says what is wrong and where; for files of PyTorch, Keras,
        NumPy and pickle it says what can read them.
    MemoryError
        If there is not enough memory for the arrays.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import numpy as np, pynn, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "a.safetensors")
    >>> pynn.io.save_file({"a": np.arange(3)}, path, {"from": "an example"})
    >>> pynn.io.load_file(path)
    ({'a': array([0, 1, 2])}, {'from': 'an example'})
    """
    name = os.fspath(path)
    with opened(path) as file:
        entries, metadata, start = _read_header(file, name)
        whole = _mmap.mmap(file.fileno(), 0, access=_mmap.ACCESS_READ) if mmap else None
        arrays = {key: _array(file, whole, start, entry, f"{name}: array {key[:80]!r}") for key, entry in entries.items()}
    return arrays, metadata


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return only the metadata of a file, after checking the whole header."""
    with opened(path) as file:
        return _read_header(file, os.fspath(path))[1]


def _array(file: BinaryIO, whole: _mmap.mmap | None, start: int, entry: _Entry, what: str) -> Array:
    dtype = np.dtype(_DTYPES[entry.code])
    if whole is not None:
        a: Array = np.ndarray(entry.shape, dtype, whole, start + entry.start) if entry.stop > entry.start else np.empty(entry.shape, dtype)
        a = a if a.flags.aligned else a.copy()
        a.flags.writeable = False
    else:
        a = np.empty(entry.shape, dtype)
        file.seek(start + entry.start)
        if a.nbytes and file.readinto(_bytes(a)) != a.nbytes:  # type: ignore[attr-defined]
            raise ValueError(f"{what}: the file was cut off while it was read")
    if entry.code in _WIDENED:
        a = from_bfloat16(a) if entry.code == "BF16" else from_float8(a, entry.code)
    if entry.code == "BOOL" and a.size and a.view(np.uint8).max() > 1:
        raise ValueError(f"{what}: expected bools of 0 or 1, got another value")
    return a.astype(a.dtype.newbyteorder("="), copy=False)


def _bytes(a: Array) -> memoryview:
    """Return the memory of a contiguous array that is not empty."""
    return memoryview(a.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def save_file(tensors: Mapping[str, ArrayLike], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays as a safetensors file.

    The file is replaced atomically: the arrays are written to a temporary file in the same directory and flushed to disk, then the
    temporary file is renamed. A reader sees either the old or the new file. An existing file keeps its permission bits. A symbolic
    link stays a link, and its target is replaced. If the process is killed, at most one temporary file per path remains,
    ``.NAME.tmp``, which the next write to that path removes. Threads and processes that write to the same path wait for each other.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Arrays of any dtype that the format supports, including PyTorch's CPU tensors.
    path : str or path
        The file to write; an existing regular file is replaced.
    metadata : mapping of str to str, optional
        Text to store in the header.

    Raises
    ------
    TypeError
        If the format does not support a dtype, or the metadata are not strings.
    ValueError
        If a name is not allowed, the header is too large, or `path` is a directory, a device, a pipe or a socket.
    OSError
        If the file cannot be written; an existing file is left unchanged. `FileNotFoundError` if the directory does not exist,
        `PermissionError` if the file is write-protected.

    Examples
    --------
    See `load_file`.
    """
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    for name, a in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ValueError(f"tensors: expected names that are strings other than '__metadata__', got {name!r}")
        if a.dtype.newbyteorder("<") not in _CODES:
            raise TypeError(f"{name}: safetensors files cannot hold dtype {a.dtype}; expected one of {', '.join(_DTYPES)}")
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    for key, text in header.get("__metadata__", {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"metadata: expected a mapping from str to str, got {key!r}: {text!r}")
    # Sorting by item size, largest first, aligns every array.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    end = 0
    for name in order:
        a = arrays[name]
        header[name] = {"dtype": _CODES[a.dtype.newbyteorder("<")], "shape": list(a.shape), "data_offsets": [end, end + a.nbytes]}
        end += a.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT or len(order) > ENTRY_LIMIT:
        limits = f"at most {ENTRY_LIMIT} and {HEADER_LIMIT} are allowed"
        raise ValueError(f"tensors: got {len(order)} arrays and a header of {len(text)} bytes; {limits}")
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            a = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
            if a.nbytes:
                file.write(_bytes(a))

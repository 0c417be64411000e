"""Arrays by name as safetensors files (https://github.com/huggingface/safetensors).

A file is the length of its header (8 bytes, little-endian), the header, a JSON object that gives each array's dtype, shape and place, and
the bytes of the arrays. It holds data, never code: reading a file runs nothing from it, so files from anybody may be read.
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
"""The longest header, in bytes, as the format has it."""
ENTRY_LIMIT = 100_000
"""The most arrays, and the most lines of metadata, in a file."""
_MOST_DIMS = 64
_MOST_BYTES = 2**63 - 1

_DTYPES = {
    **{"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2"},
    **{"F8_E4M3": "u1", "F8_E5M2": "u1", "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8"},
}
_WIDENED = ("BF16", "F8_E4M3", "F8_E5M2")
"""Those that NumPy does not have: they are read as float32, and not written."""
_CODES = {np.dtype(word): code for code, word in _DTYPES.items() if code not in _WIDENED}


class _Entry(NamedTuple):
    """Where an array is: its bytes lie from ``start`` to ``stop`` behind the header."""

    code: str
    shape: tuple[int, ...]
    start: int
    stop: int


# ---- reading the header ----------------------------------------------------------------------------------------------
_TOKEN = re.compile(rb'[ \t\r\n]*+("(?:[^"\\]++|\\.)*+"|[{}\[\]:,]|(?:0|[1-9][0-9]{0,19})(?![0-9.eE]))', re.DOTALL)


class _Header:
    """A reader of the header's JSON that understands what the format has and nothing else, so that no text can grow in memory."""

    def __init__(self, text: bytes, path: str) -> None:
        self.text, self.path, self.at = text, path, 0

    def fail(self, what: str) -> NoReturn:
        raise ValueError(f"{self.path}: {what}")

    def token(self) -> bytes:
        """Return the next bracket, comma, colon, string or count."""
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            self.fail(f"the header is not what it should be at its byte {self.at}: {self.text[self.at : self.at + 20]!r}")
        self.at = found.end()
        return found[1]

    def expect(self, mark: bytes) -> None:
        got = self.token()
        if got != mark:
            self.fail(f"the header has {got[:40]!r} where {mark!r} should be, before its byte {self.at}")

    def string(self, what: str) -> str:
        got = self.token()
        if got[:1] != b'"':
            self.fail(f"{what}: expected text, got {got[:40]!r}")
        try:
            text = str(json.loads(got.decode()))
            text.encode()
        except ValueError:  # UnicodeError is one
            self.fail(f"{what}: {got[:40]!r} is not proper UTF-8 JSON text")
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
            if self.more(b"]", what):
                return tuple(found)

    def peek(self) -> bytes:
        at = self.at
        token = self.token()
        self.at = at
        return token

    def more(self, end: bytes, what: str) -> bool:
        """Take a comma, or the end: then return True."""
        got = self.token()
        if got not in (b",", end):
            self.fail(f"{what}: {got[:40]!r} where ',' or {end!r} should be")
        return got == end

    def keys(self, what: str) -> Iterator[str]:
        """Yield the keys of an object, each to be followed by the reading of its value; a key that comes twice is an error."""
        self.expect(b"{")
        if self.peek() == b"}":
            self.token()
            return
        seen: set[str] = set()
        while True:
            key = self.string(f"a name in {what}")
            if key in seen:
                self.fail(f"{what} has {key[:80]!r} twice")
            seen.add(key)
            if len(seen) > ENTRY_LIMIT:
                self.fail(f"{what} has more than {ENTRY_LIMIT:,} entries")
            self.expect(b":")
            yield key
            if self.more(b"}", what):
                return

    def read(self) -> tuple[dict[str, _Entry], dict[str, str]]:
        """Return the entries in the order of their places, and the metadata."""
        if self.text[:1] != b"{":
            self.fail("the header does not begin with '{'; this is no safetensors file")
        entries: dict[str, _Entry] = {}
        metadata: dict[str, str] = {}
        for name in self.keys("the header"):
            if name == "__metadata__":
                metadata = {key: self.string("the metadata") for key in self.keys("the metadata")}
            else:
                entries[name] = self.entry(name)
        if self.text[self.at :].strip(b" \t\r\n"):
            self.fail(f"the header goes on behind its end, at its byte {self.at}")
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
            self.fail(f"{what} lacks one of dtype, shape and two data_offsets")
        if code not in _DTYPES:
            self.fail(f"{what} has dtype {code[:40]!r}; expected one of {', '.join(_DTYPES)}")
        size = np.dtype(_DTYPES[code]).itemsize
        if math.prod(n for n in shape if n) * size > _MOST_BYTES:
            self.fail(f"{what} has the shape {shape}, which is too large for any memory")
        if places[1] - places[0] != math.prod(shape) * size:
            takes = f"{what} of shape {shape} and dtype {code} takes {math.prod(shape) * size} bytes"
            self.fail(f"{takes}, but its data_offsets are {list(places)}")
        return _Entry(code, shape, *places)


def _read_header(file: BinaryIO, path: str) -> tuple[dict[str, _Entry], dict[str, str], int]:
    """Return entries, metadata, and where the data begin, when all of it has been checked against the file's size."""
    size = os.fstat(file.fileno()).st_size
    other = foreign_format(file, "safetensors")
    if other is not None:
        raise ValueError(f"{path}: is no safetensors file: it {other}")
    first = file.read(8)
    if len(first) < 8:
        raise ValueError(f"{path}: {len(first)} bytes are no safetensors file")
    length = int.from_bytes(first, "little")
    if length > min(size - 8, HEADER_LIMIT):
        allowed = f"the file has {size - 8} more, and {HEADER_LIMIT} are allowed; it is damaged, or no safetensors file"
        raise ValueError(f"{path}: its header should take {length} bytes, but {allowed}")
    text = file.read(length)
    if len(text) < length:
        raise ValueError(f"{path}: the file was cut off while it was read")
    entries, metadata = _Header(text, path).read()
    end = 0
    for name, entry in entries.items():
        if entry.start != end:
            how = "overlaps what comes before it" if entry.start < end else "leaves a hole before it"
            at = f"array {name[:80]!r}, from byte {entry.start} of the data,"
            raise ValueError(f"{path}: {at} {how}: the array before ends at {end}")
        end = entry.stop
    if 8 + length + end != size:
        held = size - 8 - length
        raise ValueError(f"{path}: the arrays take {end} bytes, but the file holds {held} bytes of them; it is cut off or damaged")
    return entries, metadata, 8 + length


# ---- arrays by name --------------------------------------------------------------------------------------------------
def load_file(path: str | os.PathLike[str], *, mmap: bool = False) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a safetensors file by name, and its metadata.

    The header is checked in full before anything else is read: lengths, dtypes, shapes, places without overlap or hole, names that
    come twice. Memory stays within the file's size, except for types that NumPy does not have: bfloat16 (twice its size) and 8-bit
    floats (four times) become float32.

    Parameters
    ----------
    path : str or path
        The file.
    mmap : bool
        Whether the arrays are read-only views of the file that load when they are touched, instead of copies. The file must then not
        be cut short while they are in use; that another takes its place does no harm. An array that stands at an odd address is copied.

    Raises
    ------
    ValueError
        If the file is not a whole, proper safetensors file; the text says what is wrong and where, and for files of PyTorch, Keras,
        NumPy and pickle what reads them.
    MemoryError
        If there is not enough memory for the arrays.

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
    """Return the metadata of a file alone; the whole header is checked."""
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
        raise ValueError(f"{what}: a bool is neither 0 nor 1")
    return a.astype(a.dtype.newbyteorder("="), copy=False)


def _bytes(a: Array) -> memoryview:
    """Return the memory of a contiguous array that is not empty."""
    return memoryview(a.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def save_file(tensors: Mapping[str, ArrayLike], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays by name as a safetensors file, which any reader of the format reads.

    The file is replaced atomically: the arrays are written to a temporary file in the same directory and flushed to the disk, and the
    temporary file is then renamed. A reader finds either the old file or the new one. An existing file keeps its permission bits, and
    a symbolic link stays a link: the file that it leads to is replaced. A process that is killed leaves at most one temporary file for
    each path, ``.NAME.tmp``, which the next write to that path removes. Threads and processes that write to one path take turns.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Numbers of any dtype the format has; PyTorch's CPU tensors will do.
    path : str or path
        Where to write; an existing regular file is replaced.
    metadata : mapping of str to str, optional
        Text for the header.

    Raises
    ------
    TypeError
        If a dtype has no name in the format, or metadata are not text.
    ValueError
        If a name or the header is not allowed, or ``path`` leads to a directory, a device, a pipe or a socket.
    OSError
        If the file cannot be written; an existing one is unchanged. `FileNotFoundError` without the directory, `PermissionError` for
        a write-protected file.

    Examples
    --------
    See `load_file`.
    """
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    for name, a in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ValueError(f"tensors: an array's name must be text other than '__metadata__', got {name!r}")
        if a.dtype.newbyteorder("<") not in _CODES:
            raise TypeError(f"{name}: a file of arrays cannot hold dtype {a.dtype}; expected one of {', '.join(_DTYPES)}")
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    for key, text in header.get("__metadata__", {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"metadata: expected text by text, got {key!r}: {text!r}")
    # The widest first: then all stand at addresses that suit their dtypes.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    end = 0
    for name in order:
        a = arrays[name]
        header[name] = {"dtype": _CODES[a.dtype.newbyteorder("<")], "shape": list(a.shape), "data_offsets": [end, end + a.nbytes]}
        end += a.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT or len(order) > ENTRY_LIMIT:
        raise ValueError(f"tensors: {len(order)} arrays and a header of {len(text)} bytes; {ENTRY_LIMIT} and {HEADER_LIMIT} are allowed")
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            a = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
            if a.nbytes:
                file.write(_bytes(a))

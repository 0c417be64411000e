"""Open files safely for reading, replace files atomically, and recognize other file formats."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a dangling symbolic link",
}
_LONGEST_PREFIX = 80
_LONGEST_WAIT = 10.0
"""Seconds to wait for another writer of the same path before using a temporary file of another name."""


def kind_of(mode: int) -> str:
    """Return a description of a file system entry that is not a regular file, such as "a directory"."""
    return _KINDS.get(stat.S_IFMT(mode), "a special file")


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; raise ValueError for directories, devices and pipes, which could block."""
    handle = os.open(os.fspath(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{os.fspath(path)}: expected a regular file, got {kind_of(mode)}")
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder and its parents unless it exists, and raise OSError unless files can be created in it."""
    os.makedirs(path, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        pass


def check_folder_of(path: str | os.PathLike[str]) -> None:
    """Create the folder of a file unless it exists, and raise OSError unless files can be created in it."""
    check_folder(os.path.dirname(os.fspath(path)) or os.curdir)


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise OSError or ValueError unless a file can be created or replaced at ``path``; create its folder."""
    check_folder_of(path)
    check_target(path)


def check_target(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return the status of the file that a write to ``path`` would replace, or None if there is none.

    Raise if the file must not be replaced: only regular files may. Symbolic links are followed, so a link to a file stays a link.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not os.path.basename(path):
            raise ValueError(f"path: expected the name of a file, got {os.fspath(path)!r}; nothing was written") from None
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"cannot write {os.fspath(path)!r}: no such directory", folder) from None
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ValueError(f"{os.fspath(path)}: is a symbolic link that refers to itself; nothing was written") from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{os.fspath(path)}: is {kind_of(found.st_mode)}, expected a regular file or a new name; nothing was written")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected; nothing was written", os.fspath(path))
    return found


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a new file that replaces ``path`` atomically when the block ends, and is removed if the block raises.

    The new file is in the same directory, under a temporary name that depends only on ``path``. If the process is killed, that file
    remains, and the next write to ``path`` removes it. Writers of the same path wait for each other for up to ten seconds. The
    permission bits of an existing file are kept, and its owner if the process may set it.
    """
    name = os.fsdecode(path)
    old = check_target(name)
    target = os.path.realpath(name)
    temporary, handle = _create(*os.path.split(target))
    with open(handle, "wb") as file:
        try:
            if old is not None and hasattr(os, "fchmod"):
                with suppress(OSError):
                    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows cannot rename open files
            check_target(name)
            os.replace(temporary, target)
        except BaseException:
            if fcntl is None:
                file.close()
            with suppress(OSError):
                os.unlink(temporary)  # while it is locked, because later another writer may use the name
            raise
    if os.name == "posix":  # flush the directory too, so that the new entry survives a power failure
        with suppress(OSError):
            folder = os.open(os.path.dirname(target), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def _create(folder: str, name: str) -> tuple[str, int]:
    """Create and lock the temporary file of a path; return its name and its descriptor."""
    raw = os.fsencode(name)
    short = name if len(raw) <= _LONGEST_PREFIX else hashlib.sha256(raw).hexdigest()[:32]
    temporary = os.path.join(folder, f".{short}.tmp")
    while True:
        try:
            handle = os.open(temporary, _CREATE, 0o666)
        except FileExistsError:
            if _remove_abandoned(temporary):
                continue
        else:
            try:
                if fcntl is None or _locked(handle, temporary):
                    return temporary, handle
            except OSError:  # a file system without locks
                return temporary, handle
            os.close(handle)
            continue
        other = os.path.join(folder, f".{short}.{secrets.token_hex(4)}.tmp")
        return other, os.open(other, _CREATE, 0o666)


def _remove_abandoned(temporary: str) -> bool:
    """Wait until no other writer uses a temporary file, and remove it if its writer died.

    Return False if it cannot be removed: it is not a regular file of this user, or the file system does not support locks.
    """
    if fcntl is None:
        try:
            os.unlink(temporary)  # fails on Windows while a writer has it open
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
            return False
        try:
            if _locked(handle, temporary):
                os.unlink(temporary)
        except OSError:
            return False
        return True
    finally:
        os.close(handle)


def _locked(handle: int, temporary: str) -> bool:
    """Lock a temporary file, waiting for its writer, and return whether its name still refers to it. Raise if the wait is too long."""
    end = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)
    try:
        found = os.stat(temporary, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle))


# ---- files of other formats ------------------------------------------------------------------------------------------
_IN_TORCH = "load it with torch.load(path, weights_only=True) and pass the result to model.load_state_dict, or convert it to safetensors"
_BY_PICKLE = "pickle.load or joblib.load can read it, but runs code in the file: load only files you trust, then convert with model.save"
_ZLIB = f"is compressed with zlib, perhaps by joblib; {_BY_PICKLE}"
_FOREIGN: dict[str, tuple[bytes, str]] = {
    "HDF5": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras writes; pynn.io.from_keras(path, model) reads its weights"),
    "NumPy array": (b"\x93NUMPY", "is a .npy file; numpy.load reads it"),
    "Git LFS": (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; download it with git lfs pull"),
    "GGUF": (b"GGUF", "is a GGUF file; convert it to safetensors"),
    "gzip": (b"\x1f\x8b", "is compressed with gzip; decompress it first"),
    "HTML": (b"<", "is an HTML or XML page, perhaps the error page of a failed download"),
    **{f"zlib {level:x}": (bytes([0x78, level]), _ZLIB) for level in (0x01, 0x5E, 0x9C, 0xDA)},
}
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
_TORCH_LEGACY = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""The pickled magic number at the start of files written by PyTorch before 1.6."""


def foreign_format(file: BinaryIO, *known: str) -> str | None:
    """Return a description of the file's format and what can read it, or None if the format is among ``known`` or not recognized.

    The format is recognized by content, not by name. The file position is reset to the start.
    """
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    if start[5:9] == b"\0\0\0{":  # the length of a header and its first byte
        return None if "safetensors" in known else "is a safetensors file; pynn.load or pynn.io.load_file reads it"
    if start.startswith(b"PK\3\4") or start.startswith(b"PK\5\6"):
        return _archive_format(file, known)
    if start.startswith(_PICKLES):
        if _TORCH_LEGACY in start:
            return f"is a PyTorch file in the format used before PyTorch 1.6; {_IN_TORCH}"
        return f"is a pickle; {_BY_PICKLE}"
    return next((text for name, (magic, text) in _FOREIGN.items() if start.startswith(magic) and name not in known), None)


def _archive_format(file: BinaryIO, known: tuple[str, ...]) -> str | None:
    """Return a description of what a zip archive contains and what can read it, or None."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        names = []
    finally:
        file.seek(0)
    if "config.json" in names and any(name.startswith("model.weights") for name in names):
        return None if "Keras" in known else "is a .keras file; pynn.io.from_keras(path, model) reads its weights"
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return f"is a PyTorch file (.pt, .pth); {_IN_TORCH}"
    if names and all(name.endswith(".npy") for name in names):
        return "is a .npz file; numpy.load(path) reads its arrays, and model.load_state_dict takes them by name"
    return None if "Keras" in known and not names else "is a zip archive; unpack it first"

"""Callbacks that write the logs of each epoch, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import os
import time
import warnings
from collections.abc import Mapping
from typing import IO, Any

from .._training.callback import Callback, Expected, Logs
from ..io._files import check_file, check_folder


class CSVLogger(Callback):
    """Write a line of a CSV file after each epoch.

    Each line is flushed immediately, so the file is complete if the process dies. The first column is the epoch, counted from 1.
    Validation columns are empty in epochs without validation, see ``validation_freq``. Training that resumes from a checkpoint continues
    the file, and replaces the lines that were written after the checkpoint.

    Parameters
    ----------
    path : str or path
        The file; a missing folder is created.
    append : bool
        Whether to add lines to an existing file.

    Raises
    ------
    ValueError
        When training begins, if the file to append to has other columns, or the path leads to a directory, a device, a pipe or a socket.
    OSError
        When training begins, if the file cannot be written.

    Examples
    --------
    >>> import numpy as np, os, pynn, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", epochs=2, callbacks=[pynn.callbacks.CSVLogger(path)], seed=0)
    >>> with open(path) as file:
    ...     print(file.readline().strip())
    epoch,loss,seconds
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path, self.append = os.fspath(path), append
        self._file: IO[str] | None = None
        self._size = 0
        self._columns: list[str] = []
        self._open = True

    _adds_logs = False
    _any_thread = True

    def _check(self, expected: Expected) -> None:
        """Note the columns, and compare those of a file to append to."""
        self._columns, self._open = ["epoch", *expected.rises], expected.open
        if self.append and os.path.isfile(self.path):
            self._check_columns()

    def _check_columns(self) -> None:
        """Raise if the file has other columns than this training."""
        with open(self.path, newline="", encoding="utf-8") as file:
            known = next(csv.reader(file), None)
        if known is not None and known != self._columns and not (self._open and set(known) > set(self._columns)):
            raise self._differing(known, self._columns)

    def _differing(self, known: list[str], names: list[str]) -> ValueError:
        return ValueError(f"CSVLogger: {self.path} has the columns {', '.join(known)}, but this training reports {', '.join(names)}")

    def on_train_begin(self, logs: Logs) -> None:
        """Open the file."""
        check_file(self.path)
        self._file = self._opened()
        self._size = os.path.getsize(self.path) if self.append else 0

    def _opened(self) -> IO[str]:
        return open(self.path, "a+", newline="", encoding="utf-8")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_file": None}

    def state_dict(self) -> dict[str, Any]:
        """Return the length of the file."""
        return {"size": self._size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore it; a file that no longer exists is started anew."""
        size = int(state["size"])
        if size < 0:
            raise ValueError(f"the size of a file is 0 or more, got {size}")
        self._size = size if os.path.getsize(self.path) >= size else 0
        if self._size:
            self._check_columns()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a line."""
        if self._file is None:  # a paused training continues in another process
            self._file = self._opened()
        self._file.truncate(self._size)
        self._file.seek(0)
        writer = csv.writer(self._file)
        names = [*self._columns, *(name for name in logs if name not in self._columns)] if self._columns else ["epoch", *logs]
        known = next(csv.reader(self._file), None)
        if known is None:
            writer.writerow(names)
            known = names
        if not set(logs) < set(known) or not set(self._columns) <= set(known):
            raise self._differing(known, names)
        row = {"epoch": epoch + 1, **logs}
        writer.writerow([row.get(name, "") for name in known])
        self._file.flush()
        self._size = os.path.getsize(self.path)

    def on_train_end(self, logs: Logs) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class TensorBoard(Callback):
    """Write the logs of each epoch for TensorBoard, with the writer of PyTorch or tensorboardX.

    Steps are epochs, counted from 0 as in Keras. Training that resumes from a checkpoint continues the curves, and TensorBoard discards
    the values that were written after the checkpoint.

    Parameters
    ----------
    log_dir : str or path
        The folder of the files, which is created if it is missing.

    Raises
    ------
    ImportError
        When training begins, if neither writer is installed.

    Examples
    --------
    >>> import pynn
    >>> log = pynn.callbacks.TensorBoard("runs/first")  # for model.fit(..., callbacks=[log])
    >>> log.log_dir
    'runs/first'
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "runs") -> None:
        self.log_dir = os.fspath(log_dir)
        self._writer: Any = None
        self._known = 0
        self._kind: Any = None

    _adds_logs = False
    _any_thread = True

    def on_train_begin(self, logs: Logs) -> None:
        """Find the writer; it is opened at the end of the first epoch."""
        self._kind, self._known = _summary_writer(), 0
        check_folder(self.log_dir)

    def __getstate__(self) -> dict[str, Any]:
        if self._writer is not None:
            self._writer.flush()
        return {**vars(self), "_writer": None}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of epochs written."""
        return {"epochs": self._known}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        self._known = int(state["epochs"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the logs, with validation under the same names as training, and the learning rate of the last step."""
        if self._writer is None:
            # Without a suffix, tensorboardX overwrites the file of a writer that was opened within the same second.
            self._writer = self._kind(self.log_dir, purge_step=self._known or None, filename_suffix=f".{time.time_ns()}")
        self._known = epoch + 1
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            self._writer.add_scalar(f"{name.removeprefix('val_')}/{part}", value, epoch)
        if "lr" in self.optimizer.param_groups[0]:
            self._writer.add_scalar("learning rate", self.optimizer.get_last_lr()[0], epoch)

    def on_train_end(self, logs: Logs) -> None:
        """Close the writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _summary_writer() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        try:
            from tensorboardX import SummaryWriter  # type: ignore[import-untyped, no-redef, unused-ignore]
        except ImportError as error:
            raise ImportError("TensorBoard needs a writer: pip install tensorboardX, or torch and tensorboard") from error
    return SummaryWriter

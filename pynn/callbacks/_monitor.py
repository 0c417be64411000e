"""Callbacks that monitor a reported number: early stopping, saving the best model, reducing the learning rate."""

from __future__ import annotations

import math
import os
import string
from collections.abc import Iterable, Mapping
from typing import Any

from .. import metrics
from .._tables import check_count
from .._training.callback import Callback, Expected, Logs
from ..io._files import check_file, check_folder_of
from ._rate import rated_groups


class Monitor(Callback):
    """Track the best value of a reported number."""

    def __init__(self, monitor: str | None, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        if not (isinstance(min_delta, (int, float)) and min_delta >= 0):
            raise ValueError(f"min_delta: expected a number of 0 or more, got {min_delta!r}")
        if monitor is not None and not isinstance(monitor, str):
            raise TypeError(f"monitor: expected a name, or None, got {monitor!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, float(min_delta)
        self.best = math.nan
        self._name: str | None = None
        self._rises: bool | None = None
        self._reported = False

    def _check(self, expected: Expected) -> None:
        """Find the number and its direction, or raise."""
        name = self.monitor or ("val_loss" if "val_loss" in expected.rises else "loss")
        self._reported = name in expected.rises
        if not self._reported and not expected.open:
            raise ValueError(self._unreported(name, expected.rises))
        rises = expected.rises[name] if self._reported else metrics.rises_by_name(name.removeprefix("val_"))
        self._name, self._rises = name, {"min": False, "max": True}.get(self.mode, rises)
        if self._reported and self._rises is None:
            raise ValueError(self._undecided(name))

    def _unreported(self, name: str, known: Iterable[str]) -> str:
        text = f"{type(self).__name__}: monitor {name!r} is not reported; known: {', '.join(known)}"
        without = name.startswith("val_") and not any(one.startswith("val_") for one in known)
        return f"{text}; names with val_ need validation_data or validation_split" if without else text

    def _undecided(self, name: str) -> str:
        what = f"{type(self).__name__}: whether a greater or a smaller {name!r} is better is not known"
        return f"{what}; give mode='min' or mode='max', or set greater_is_better = True or False on the metric"

    def on_train_begin(self, logs: Logs) -> None:
        """Reset the best value."""
        self.best = math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best value."""
        self.best = float(state["best"])

    def _value(self, logs: Logs) -> float | None:
        """Return the number, or None in an epoch that does not report it."""
        name = self._name or self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name in logs:
            self._reported = True
            return float(logs[name])
        if not self._reported:
            raise ValueError(self._unreported(name, logs))
        return None

    def _better(self, value: float) -> bool:
        """Return whether a value is the best so far, and store it if so; NaN never is."""
        if math.isnan(value) or value == self.best:
            return False
        if not math.isnan(self.best):
            rises = {"min": False, "max": True}.get(self.mode, self._rises)
            if rises is None:
                raise ValueError(self._undecided(self._name or self.monitor or "loss"))
            if not (value - self.best if rises else self.best - value) > self.min_delta:
                return False
        self.best = value
        return True


_WEIGHTS = "weights/"
"""The prefix of the names of the best epoch's arrays in a state."""


class EarlyStopping(Monitor):
    """Stop training when a number has not improved for ``patience`` epochs.

    Parameters
    ----------
    monitor : str, optional
        The name of the number; None: ``"val_loss"`` if there is validation, otherwise ``"loss"``.
    patience : int
        The number of consecutive epochs without an improvement after which training stops. Epochs that do not report the number, because
        of ``validation_freq``, are not counted.
    min_delta : float
        The change above which a value counts as an improvement.
    mode : {'auto', 'min', 'max'}
        Whether a smaller or a greater number is better. 'auto': smaller for losses, and the direction of the metric for metrics. A custom
        metric has a direction if its attribute ``greater_is_better`` is True or False; otherwise `mode` is required.
    restore_best : bool
        Whether to restore the weights of the best epoch at the end of training, also after an interrupt. A copy of them is kept.

    Attributes
    ----------
    best, best_epoch : float, int
        The best value, and its epoch.
    stopped_epoch : int or None
        The epoch after which training was stopped.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> stop = pynn.callbacks.EarlyStopping(patience=3)
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", optimizer=pynn.optim.SGD(lr=2.1), epochs=99, callbacks=[stop], seed=0)
    >>> stop.best_epoch, stop.stopped_epoch
    (0, 3)
    """

    def __init__(
        self, monitor: str | None = None, *, patience: int = 5, min_delta: float = 0.0, mode: str = "auto", restore_best: bool = True
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        check_count("patience", patience, 1)
        self.patience, self.restore_best = patience, restore_best
        self.best_epoch, self.stopped_epoch, self._waited = 0, None, 0
        self._weights: dict[str, Any] | None = None

    _adds_logs = False
    _any_thread = True
    best_epoch: int
    stopped_epoch: int | None

    def on_train_begin(self, logs: Logs) -> None:
        """Reset the best epoch."""
        super().on_train_begin(logs)
        self.best_epoch, self.stopped_epoch, self._weights, self._waited = 0, None, None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch with its weights, and whether training was stopped."""
        weights = {f"{_WEIGHTS}{name}": a for name, a in (self._weights or {}).items()}
        facts = {"best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch, "waited": self._waited}
        return super().state_dict() | facts | weights

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state; training that was stopped ends immediately."""
        super().load_state_dict(state)
        self.best_epoch, self.stopped_epoch, self._waited = int(state["best_epoch"]), state["stopped_epoch"], int(state["waited"])
        weights = {name.removeprefix(_WEIGHTS): a for name, a in state.items() if name.startswith(_WEIGHTS)}
        if weights and {name: a.shape for name, a in weights.items()} != {name: a.shape for name, a in self.model.state_dict().items()}:
            raise ValueError("the weights of the best epoch do not have the shapes of this model's")
        self._weights = weights if weights and self.restore_best else None
        self.model.stop_training = self.stopped_epoch is not None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the number with the best one."""
        value = self._value(logs)
        if value is None:
            return
        if self._better(value):
            self.best_epoch, self._waited = epoch, 0
            self._weights = self.model.state_dict() if self.restore_best else None
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """Restore the best weights."""
        if self._weights is not None:
            self.model.load_state_dict(self._weights)
            self._weights = None


class ModelCheckpoint(Monitor):
    """Save the model after epochs with ``model.save``.

    Parameters
    ----------
    path : str or path
        The file. The fields ``{epoch}``, counted from 1, and the names in the logs are replaced, as in
        ``"net-{epoch:03d}-{val_loss:.2f}.safetensors"``. A missing folder is created, before the first epoch if its name has no fields.
        Epochs that do not report a number of the path, because of ``validation_freq``, are not saved.
    monitor, mode : str
        As in `EarlyStopping`; used with ``save_best_only``.
    save_best_only : bool
        Whether to save only epochs that are better than all previous ones, including those of earlier calls of ``fit`` with this callback.
    every : int
        The number of epochs between two saves.

    Raises
    ------
    ValueError
        When training begins, if the path needs a number that is not reported.
    OSError
        When training begins, if the folder cannot be written to.

    Examples
    --------
    >>> import numpy as np, os, pynn, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> save = pynn.callbacks.ModelCheckpoint(os.path.join(folder, "net-{epoch}.safetensors"))
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", epochs=2, callbacks=[save], seed=0)
    >>> sorted(os.listdir(folder))
    ['net-1.safetensors', 'net-2.safetensors']
    """

    def __init__(
        self, path: str | os.PathLike[str], *, monitor: str | None = None, save_best_only: bool = False, mode: str = "auto", every: int = 1
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        check_count("every", every, 1)
        self.path, self.save_best_only, self.every = os.fspath(path), save_best_only, every
        self._of: str | None = None
        self._reports: frozenset[str] = frozenset()

    _adds_logs = False
    _any_thread = True

    def _check(self, expected: Expected) -> None:
        """Check that the path can be filled in and written to, and that the monitored number is reported."""
        if self.save_best_only:
            super()._check(expected)
            if self._of != self._name:
                self.best, self._of = math.nan, self._name
        names, self._reports = self._names(expected.rises), frozenset(expected.rises)
        if not expected.open or names <= {"epoch", *expected.rises}:
            self._filled(0, dict.fromkeys(expected.rises, 0.5))
        fixed, field, _ = self.path.partition("{")
        (check_folder_of if field else check_file)(fixed)

    def _names(self, known: Iterable[str]) -> set[str]:
        """Return the names of the numbers in the path, or raise."""
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(self.path) if name is not None]
        except ValueError as error:
            raise self._wrong(known, error) from error
        return {name.partition(".")[0].partition("[")[0] for name in fields}

    def _filled(self, epoch: int, logs: Logs) -> str:
        try:
            return self.path.format(epoch=epoch + 1, **logs)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(logs, error) from error

    def _wrong(self, known: Iterable[str], error: Exception) -> ValueError:
        return ValueError(f"path: {self.path!r} cannot be filled in with epoch, {', '.join(known)}: {error}")

    def on_train_begin(self, logs: Logs) -> None:
        """Keep the best value of an earlier training."""

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and the name of its number."""
        return super().state_dict() | {"monitor": self._of}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""
        super().load_state_dict(state)
        self._of = state.get("monitor", self._name)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save the model."""
        if (epoch + 1) % self.every:
            return
        if self.save_best_only:
            value = self._value(logs)
            if value is None or not self._better(value):
                return
        missing = self._names(logs) - {"epoch", *logs}
        if missing and missing <= self._reports:
            return
        path = self._filled(epoch, logs)
        check_folder_of(path)
        self.model.save(path)


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rates by ``factor`` when a number has not improved for ``patience`` epochs.

    `pynn.optim.lr_scheduler.ReduceLROnPlateau` does the same within the optimizer, and counts as PyTorch does.

    Parameters
    ----------
    monitor, min_delta, mode
        As in `EarlyStopping`.
    factor : float
        The factor of each reduction, between 0 and 1.
    patience : int
        The number of consecutive epochs without an improvement after which the rates are reduced, counted as in `EarlyStopping`.
    min_lr : float
        The lowest rate.

    Raises
    ------
    ValueError
        If an argument is out of range; or when training begins, if the optimizer has no learning rate or the number is not reported.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt, model = pynn.optim.SGD(lr=2.1), pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> reduce = pynn.callbacks.ReduceLROnPlateau(patience=2)
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", optimizer=opt, epochs=3, callbacks=[reduce], seed=0)
    >>> round(opt.param_groups[0]["lr"], 3)
    0.21
    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: str = "auto",
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        check_count("patience", patience, 1)
        if not 0 < factor < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, got {factor!r}")
        if not min_lr >= 0:
            raise ValueError(f"min_lr: expected a number of 0 or more, got {min_lr!r}")
        self.factor, self.patience, self.min_lr, self._waited = factor, patience, min_lr, 0

    _adds_logs = False
    _any_thread = True

    def _check(self, expected: Expected) -> None:
        """Check that there is a learning rate, and that the monitored number is reported."""
        super()._check(expected)
        rated_groups(self)

    def on_train_begin(self, logs: Logs) -> None:
        """Reset the best value and the count of epochs without an improvement."""
        super().on_train_begin(logs)
        self._waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and the number of epochs since then."""
        return super().state_dict() | {"waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""
        super().load_state_dict(state)
        self._waited = int(state["waited"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the number with the best one, and reduce the rates if it is due."""
        value = self._value(logs)
        if value is None:
            return
        self._waited = 0 if self._better(value) else self._waited + 1
        if self._waited < self.patience:
            return
        self._waited = 0
        for group in rated_groups(self):
            group["lr"] = min(group["lr"], max(group["lr"] * self.factor, self.min_lr))

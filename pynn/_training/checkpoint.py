"""The state of a training run, and the callback that saves it to a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .callback import Callback
from .history import History
from .messages import describe_error

if TYPE_CHECKING:
    from .. import _core
    from ..optim._base import Optimizer
    from .health import Health
    from .net import Net
    from .objective import Scores


class Checkpoint(Callback):
    """Save the state of training to a file, from which ``fit(..., resume_from=path)`` continues.

    The file holds the weights and states of the model, the optimizer with its schedules, the history and the health reports, the seed and
    the position in the order of the rows, and the states of the other callbacks. Training that resumes from it, in another process or
    with another number of threads, gives bitwise the same results as uninterrupted training. The file is replaced atomically: if the
    process dies, the last complete file remains. `pynn.load` reads the model from it.

    Parameters
    ----------
    path : str or path
        The file. A missing folder is created when training begins.
    every_steps : int, optional
        The number of batches after which to save within an epoch; None: save only at the end of each epoch.

    Raises
    ------
    ValueError
        If ``every_steps`` is less than 1, or is given with metrics or with batches from an iterable, where training can only resume
        at the start of an epoch.
    OSError
        When training begins, if the file cannot be written.

    Notes
    -----
    The checkpoint is written after all other callbacks have been called, regardless of their order. States of callbacks are matched by
    class and order; a new callback starts without a state. Functions have no state, see `pynn.callbacks.Callback.state_dict`. With
    ``steps_per_epoch``, the batches of finished epochs are read from the iterable again and skipped.

    Examples
    --------
    >>> import numpy as np, os, pynn, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "training.safetensors")
    >>> X, y = np.eye(4), np.arange(4)
    >>> def train(epochs, resume_from=None):
    ...     model = pynn.Sequential(pynn.Linear(4, 4, seed=0))
    ...     settings = dict(loss="cross_entropy", batch_size=2, seed=1, callbacks=[pynn.Checkpoint(path)])
    ...     return model.fit(X, y, epochs=epochs, resume_from=resume_from, **settings).history["loss"]
    >>> whole = train(5)
    >>> start = train(2)
    >>> train(5, resume_from=path) == whole
    True
    """

    _any_thread = True

    def __init__(self, path: str | os.PathLike[str], *, every_steps: int | None = None) -> None:
        if every_steps is not None and (isinstance(every_steps, bool) or not isinstance(every_steps, (int, np.integer)) or every_steps < 1):
            raise ValueError(f"every_steps: expected an integer of 1 or more, or None, got {every_steps!r}")
        self.path = os.fspath(path)
        self.every_steps = every_steps
        self._training: Training | None = None

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        """Create the folder of the file, and raise OSError if the file cannot be written."""
        from ..io._files import check_file

        check_file(self.path)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the file."""
        if self._training is None:
            raise RuntimeError("Checkpoint: can only be written by fit, to which it is passed as a callback")
        self._training.save(self.path, epoch + 1)

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every_steps={self.every_steps})"


class Training:
    """The state of one call of ``fit``.

    Parameters
    ----------
    model, optimizer, callbacks, seed, resume_from
        As in `fit`.
    facts : mapping
        The settings that must be equal in the training run that resumes.
    whole_epochs : bool
        Whether training can only resume at the start of an epoch.
    """

    def __init__(
        self,
        model: Net,
        optimizer: Optimizer,
        callbacks: Iterable[Callback],
        seed: int,
        facts: Mapping[str, Any],
        resume_from: str | os.PathLike[str] | None,
        *,
        whole_epochs: bool,
    ) -> None:
        self.model, self.optimizer, self.seed, self.history = model, optimizer, seed, History()
        self.facts = {"optimizer": type(optimizer).__name__, **facts}
        self.checkpoints = [c for c in callbacks if isinstance(c, Checkpoint)]
        self.callbacks = [*(c for c in callbacks if not isinstance(c, Checkpoint)), *self.checkpoints]
        self.remembered: dict[str, dict[str, Any]] = {}
        for checkpoint in self.checkpoints:
            if checkpoint.every_steps is not None and whole_epochs:
                raise ValueError("every_steps: with metrics or batches from an iterable, training can only resume at the start of an epoch")
            checkpoint._training = self
        self.epoch, self.batch = 0, 0
        self.scores: Scores | None = None
        self.health: Health | None = None
        self.resumed = "" if resume_from is None else os.fspath(resume_from)
        if resume_from is not None:
            from .checkpoint_file import resume

            resume(self, resume_from)

    def begin(self) -> None:
        """Call ``on_train_begin`` of the callbacks, and restore their states when resuming."""
        for callback in self.callbacks:
            callback.on_train_begin({})
        for owner, callback in self.named_callbacks():
            if owner not in self.remembered:
                continue
            try:
                callback.load_state_dict(self.remembered[owner])
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                what = f"its state of the callback {type(callback).__name__} is invalid: {describe_error(error)}"
                raise ValueError(f"resume_from: {self.resumed}: {what}") from error

    def named_callbacks(self) -> Iterator[tuple[str, Callback]]:
        """Yield the callbacks with their keys, which consist of class and number."""
        seen: Counter[str] = Counter()
        for callback in self.callbacks:
            kind = type(callback).__name__
            yield f"{kind}/{seen[kind]}", callback
            seen[kind] += 1

    # ---- epochs and checkpoints --------------------------------------------------------------------------------------
    def run_epoch(
        self,
        run: _core.Fit,
        epoch: int,
        before: Callable[[int], None] | None = None,
        after: Callable[[int, Scores], bool] | None = None,
    ) -> tuple[Scores, int]:
        """Train for an epoch, or for its remaining batches, and write the checkpoints that are due within it.

        ``before`` and ``after`` are called for each batch; ``after`` returns whether to end the epoch there. Return the scores and the
        number of batches.
        """
        batches, batch, scores = self.batches_per_epoch(), self.batch, self.scores
        self.batch, self.scores = 0, None
        per_batch = before is not None or after is not None
        while True:
            steps = [c.every_steps for c in self.checkpoints if c.every_steps]
            stop = batch + 1 if per_batch else min([batches, *(batch - batch % n + n for n in steps)])
            if before is not None:
                before(batch)
                self.optimizer.begin_epoch(epoch)
            expected = run.step + stop - batch
            scores = run.epoch(epoch, batch, stop - batch, scores)
            batch = stop
            if run.step != expected:  # the core stops before a step whose loss is not finite
                return scores, batch
            if per_batch or batch != batches:
                self.optimizer.count_steps(run.step)
            ends = after is not None and after(batch - 1, scores)
            if ends or batch == batches:
                return scores, batch
            for checkpoint in self.checkpoints:
                if checkpoint.every_steps and batch % checkpoint.every_steps == 0:
                    self.save(checkpoint.path, epoch, batch, scores)
            self.optimizer.begin_epoch(epoch)

    def batches_per_epoch(self) -> int:
        """Return the number of batches of an epoch; 0 for batches from an iterable."""
        rows, size = self.facts["rows"] or 0, self.facts["batch_size"]
        return int(rows // size if self.facts["drop_last"] else -(-rows // size))

    def save(self, path: str, epoch: int, batch: int = 0, scores: Scores | None = None) -> None:
        """Write a checkpoint; the next batch is ``batch`` of ``epoch``, and ``scores`` are the scores of the epoch so far."""
        from .checkpoint_file import write  # imports json, zipfile and more, which are not needed without checkpoints

        write(self, path, epoch, batch, scores)

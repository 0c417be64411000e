"""Trainings as files: all that one needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import io
from .._random import check_seed
from ..io._files import check_file
from ..io.safetensors import load_metadata
from ..layers._base import Layer
from ..optim._base import Optimizer
from . import optimizer_file
from .callback import Callback
from .health import Health
from .history import History
from .objective import Scores

if TYPE_CHECKING:
    from .. import _core
    from .net import Net

_TRAINING = "pynn.training"
_CALLBACKS = f"{io.EXTRA_PREFIX}callbacks/"


class Checkpoint(Callback):
    """A callback that writes a training to a file, from which ``fit(..., resume_from=path)`` goes on.

    The file holds weights and states, all of the optimizer and its schedules, history and health, the seed of the rows' order and the
    place in it, and what the other callbacks remember. A training that goes on from there, in another process or on another number of
    threads, gives the same bits as one that was never stopped. The file is replaced in one step: whenever the process dies, the last
    whole one is there. `pynn.load` reads the model in it.

    Parameters
    ----------
    path : str or path
        The file; a folder that is not there is made when training begins.
    every_steps : int, optional
        Write within an epoch too, after every so many batches; None: at the end of each epoch.

    Raises
    ------
    ValueError
        If ``every_steps`` is less than 1, or batches come from an iterable, in which there is no place to go back to.

    Notes
    -----
    Wherever it stands among the callbacks, it is called last. Callbacks find what they remembered by their class and their order; one
was not there before starts anew. Plain functions remember nothing: see `pynn.callbacks.Callback.state_dict`. Of batches with
    ``steps_per_epoch`` those of the finished epochs are drawn from the iterable again and left out.

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

    def __init__(self, path: str | os.PathLike[str], *, every_steps: int | None = None) -> None:
        if every_steps is not None and (isinstance(every_steps, bool) or not isinstance(every_steps, (int, np.integer)) or every_steps < 1):
            raise ValueError(f"every_steps: expected an integer of 1 or more, or None, got {every_steps!r}")
        self.path = os.fspath(path)
        self.every_steps = every_steps
        self._training: Training | None = None

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        """Create the folder of the file, and raise OSError if the file cannot be written."""
        check_file(self.path)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write."""
        if self._training is None:
            raise RuntimeError("Checkpoint: only fit, given this as a callback, can write one")
        self._training.save(self.path, epoch + 1)

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every_steps={self.every_steps})"


class Training:
    """One call of ``fit``: what it consists of, and where it stands."""

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
                raise ValueError("every_steps: with metrics, or batches from an iterable, training goes on from the start of an epoch only")
            checkpoint._training = self
        self.epoch, self.batch = 0, 0
        self.scores: Scores | None = None
        self.health: Health | None = None
        self.resumed = "" if resume_from is None else os.fspath(resume_from)
        if resume_from is not None:
            self.load(resume_from)

    def begin(self) -> None:
        """Let the callbacks begin, with what they remembered where the training goes on."""
        for callback in self.callbacks:
            callback.model = self.model
        for callback in self.callbacks:
            callback.on_train_begin({})
        for owner, callback in self._named():
            if owner not in self.remembered:
                continue
            try:
                callback.load_state_dict(self.remembered[owner])
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                what = f"what it says of the callback {type(callback).__name__} cannot be used: {_describe(error)}"
                raise ValueError(f"resume_from: {self.resumed}: {what}") from error

    def _named(self) -> Iterator[tuple[str, Callback]]:
        """Yield the callbacks by class and number."""
        seen: Counter[str] = Counter()
        for callback in self.callbacks:
            kind = type(callback).__name__
            yield f"{kind}/{seen[kind]}", callback
            seen[kind] += 1

    # ---- the place in an epoch ---------------------------------------------------------------------------------------
    def run_epoch(
        self,
        run: _core.Fit,
        epoch: int,
        before: Callable[[int], None] | None = None,
        after: Callable[[int, Scores], bool] | None = None,
    ) -> tuple[Scores, int]:
        """Train for an epoch, or the rest of it, and write the checkpoints that are due within it.

        ``before`` and ``after`` are called for each batch; ``after`` returns whether to end the epoch there. Return the scores, and how
        many batches the epoch had.
        """
        batches, batch, scores = self._batches(), self.batch, self.scores
        self.batch, self.scores = 0, None
        each = before is not None or after is not None
        while True:
            steps = [c.every_steps for c in self.checkpoints if c.every_steps]
            stop = batch + 1 if each else min([batches, *(batch - batch % n + n for n in steps)])
            if before is not None:
                before(batch)
                self.optimizer.begin_epoch(epoch)
            expected = run.step + stop - batch
            scores = run.epoch(epoch, batch, stop - batch, scores)
            batch = stop
            if run.step != expected:  # the core stops before a step from a loss that is not finite
                return scores, batch
            if each or batch != batches:
                self.optimizer.count_steps(run.step)
            ends = after is not None and after(batch - 1, scores)
            if ends or batch == batches:
                return scores, batch
            for checkpoint in self.checkpoints:
                if checkpoint.every_steps and batch % checkpoint.every_steps == 0:
                    self.save(checkpoint.path, epoch, batch, scores)
            self.optimizer.begin_epoch(epoch)

    def _batches(self) -> int:
        """Return how many batches an epoch has; 0 where nobody knows."""
        rows, size = self.facts["rows"] or 0, self.facts["batch_size"]
        return int(rows // size if self.facts["drop_last"] else -(-rows // size))

    # ---- files -------------------------------------------------------------------------------------------------------
    def save(self, path: str, epoch: int, batch: int = 0, scores: Scores | None = None) -> None:
        """Write all of it; the next batch is ``batch`` of ``epoch``, and ``scores`` are those of the epoch so far."""
        optimizer = {name: value for name, value in self.optimizer.state_dict().items() if name not in ("state", "memory")}
        arrays = self.model._extra_arrays()
        remembered: dict[str, dict[str, Any]] = {}
        for owner, callback in self._named():
            state = callback.state_dict()
            remembered[owner] = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
            arrays |= {f"{_CALLBACKS}{owner}/{name}": value for name, value in state.items() if isinstance(value, np.ndarray)}
        facts = {
            **self.facts,
            "version": 1,
            "seed": self.seed,
            "epoch": epoch,
            "batch": batch,
            "scores": scores,
            "history": self.history.history,
            "reported": self.history.reported,
            "health": [health.to_plain() for health in self.history.health],
            "last_health": None if self.model._monitor is None else self.model._monitor.report().to_plain(),
            "settings": optimizer,
            "callbacks": remembered,
            "random": {
                name: [_seed_value(layer), layer._ticks]
                for name, layer in _all_layers(self.model)
                if layer._ticks or _seed_value(layer)
            },
        }
        text = json.dumps(facts, default=_plain)
        io.save_file(self.model.state_dict() | arrays, path, {io.ARCHITECTURE: io.describe(self.model), _TRAINING: text})

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up a training of the same kind where a file left it."""
        name = os.fspath(path)
        facts, arrays = _read(path)
        try:
            before = {"drop_last": False} | facts  # files of pynn 0.1 do not name it
            differing = [key for key, value in self.facts.items() if before.get(key) != value]
            if differing:
                key = differing[0]
                raise ValueError(f"{key} was {before.get(key)!r}, and is {self.facts[key]!r} now")
            self._take(facts, arrays)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"resume_from: {name} does not fit this training: {_describe(error)}") from error

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        state = optimizer_file.state_of({k.removeprefix(io.OPTIMIZER): a for k, a in arrays.items() if k.startswith(io.OPTIMIZER)})
        remembered = {str(owner): dict(state) for owner, state in facts["callbacks"].items()}
        for key, a in arrays.items():
            if key.startswith(_CALLBACKS):
                kind, number, part = key.removeprefix(_CALLBACKS).split("/", 2)
                remembered[f"{kind}/{number}"][part] = a
        epoch, batch = _count(facts["epoch"]), _count(facts["batch"])
        if batch >= max(1, self._batches()):
            raise ValueError(f"there is no batch {batch} in an epoch of {self._batches()}")
        scores = []
        for total, divisor, *counts in facts["scores"] or ():
            values, correct, rows, hits, strays = map(_count, counts)
            scores.append((float(total), float(divisor), values, correct, rows, hits, strays))
        history = {str(k): [float(v) for v in values] for k, values in facts["history"].items()}
        reported = {str(k): [_count(epoch) for epoch in epochs] for k, epochs in facts.get("reported", {}).items()}
        if any(len(epochs) != len(history[name]) for name, epochs in reported.items()):
            raise ValueError("its history has numbers without an epoch")
        every, last = [Health.from_plain(one) for one in facts["health"]], facts["last_health"]
        health = None if last is None else Health.from_plain(last)
        random = {str(name): (check_seed(drawn), _count(ticks)) for name, (drawn, ticks) in facts["random"].items()}
        _count(facts["settings"]["steps"])
        self.optimizer.load_state_dict({**facts["settings"], **state})
        self.model.load_state_dict({key: a for key, a in arrays.items() if not key.startswith(io.EXTRA_PREFIX)})
        for name, layer in _all_layers(self.model):
            drawn, layer._ticks = random.get(name, (0, 0))
            if hasattr(layer, "_seed_value"):
                layer._seed_value = drawn
        self.model._drop_plans()
        self.history.history.update(history)
        self.history.reported.update(reported)
        self.history.health, self.health = every, health
        self.remembered = remembered
        self.epoch, self.batch = epoch, batch
        self.scores = tuple(scores) or None


def _read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any]]:
    """Return what a file says of a training, and its arrays."""
    arrays, metadata = io.load_file(path)
    return _facts(path, metadata), arrays


def _facts(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> Any:
    if _TRAINING not in metadata:
        raise ValueError(f"resume_from: {path} holds no training; pynn.Checkpoint(path), given to fit as a callback, writes one")
    try:
        return io.parsed(metadata[_TRAINING])
    except (RecursionError, ValueError) as error:
        raise ValueError(f"resume_from: what {path} says of its training cannot be read: {error}") from None


def seed_of(path: str | os.PathLike[str], seed: int | None) -> int:
    """Return the seed of the training in a file, which a seed that is given must be too."""
    facts = _facts(path, load_metadata(path))
    kept = facts.get("seed") if isinstance(facts, dict) else None
    if kept is None or (seed is not None and check_seed(seed) != kept):
        raise ValueError(f"resume_from: {path} does not fit this training: seed was {kept}, and is {seed} now")
    try:
        return check_seed(kept)
    except (TypeError, ValueError) as error:
        raise ValueError(f"resume_from: {path} is damaged: {error}") from None


def _describe(error: Exception) -> str:
    """Return the text of an error of reading; that of a KeyError is a key alone."""
    return f"it lacks {error}" if isinstance(error, KeyError) and len(str(error)) < 40 else str(error)


def _count(value: object) -> int:
    """Return a number of things that a file may give, or raise."""
    if not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"expected a count, got {value!r}")
    return value


def _all_layers(layer: Layer, name: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield a layer and all that it is made of, by full names."""
    yield name, layer
    for own, child in layer._children().items():
        yield from _all_layers(child, f"{name}.{own}")


def _seed_value(layer: Layer) -> int:
    """Return the seed of a layer that draws random numbers."""
    return int(getattr(layer, "_seed_value", 0))


def _plain(value: Any) -> Any:
    """Return a NumPy number as JSON has it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"Checkpoint: the state of a schedule or a callback holds {value!r}, which is not plain data")

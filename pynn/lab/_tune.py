"""Training of candidates: the search for learning rates, and the final runs."""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._training.callback import Callback, Logs
from .._training.halving import Halving
from .._training.many import Run, fit_many
from .._training.progress import Progress
from ._candidates import Candidate
from ._data import Data, Part

GRID_SIDE = 3
"""The number of grid points, a third of a decade apart, on either side of the first learning rate."""
WIDENED_BY = 3
MOST_WIDENINGS = 4
TUNING_SEEDS = 3
METRIC = "val_loss"


@dataclass(frozen=True)
class Tuning:
    """The result of the search for learning rates."""

    rates: tuple[float, ...]
    """The common grid of all candidates; if their first rates differ, it is scaled to that of each candidate."""
    chosen: tuple[float, ...]
    """The rate of each candidate."""
    seeds: int
    epochs: int
    """The total number of epochs in the trials of each candidate."""
    trials: int
    """The number of trials of each candidate."""
    at_border: tuple[bool, ...]
    """Whether a candidate's best rate lies at an end of the grid even after all extensions."""


def rate_at(first: float, place: int) -> float:
    """Return the rate ``place`` thirds of a decade above the first, rounded to 4 digits."""
    return float(f"{first * 10 ** (place / 3):.4g}")


def first_rate(candidate: Candidate, lr: float | None) -> float:
    """Return the middle of a candidate's grid: the given rate, or that of the optimizer."""
    if lr is not None:
        return lr
    own = candidate.optimizer.defaults.get("lr")
    if not isinstance(own, (int, float)) or not own > 0:
        name = type(candidate.optimizer).__name__
        raise ValueError(f"tune: {name} has no learning rate to tune; pass tune=None, or lr= and an optimizer with one")
    return float(own)


def halving(epochs: int) -> Halving:
    """Return the budget for trials of this many epochs, which are compared after a ninth and a third of them."""
    return Halving(METRIC, factor=3, first=max(1, math.ceil(epochs / 9)))


def epochs_of(trials: int, epochs: int) -> int:
    """Return the total number of epochs of a set of trials."""
    budget, done, total = halving(epochs), 0, 0
    for rung in budget.rungs(epochs):
        total += trials * (rung - done)
        done = rung
        trials = budget.survivors(trials) if trials > 1 else trials
    return total + trials * (epochs - done)


def search(
    candidates: Sequence[Candidate],
    data: Data,
    seeds: Sequence[int],
    *,
    lr: float | None,
    epochs: int,
    train: Callable[[Sequence[Run], Part, Halving | None, str], list[Any]],
    expect: Callable[[int], None] | None = None,
) -> Tuning:
    """Find a learning rate for each candidate, with the same budget on the same grid, on validation rows.

    For each seed all rates of the grid compete by successive halving, and a candidate's rate is the median of the winners. While the
    best rate of any candidate lies at an end of the grid, the grid is widened on that side for all candidates, and ``expect`` is
    called with the number of epochs that this adds.
    """
    firsts = [first_rate(candidate, lr) for candidate in candidates]
    known: list[list[dict[int, float]]] = [[{} for _ in seeds] for _ in candidates]
    low, high = -GRID_SIDE, GRID_SIDE
    fresh = list(range(low, high + 1))
    total = trials = 0
    for widenings in range(MOST_WIDENINGS + 1):
        for k, seed in enumerate(seeds):
            part = data.part(seed)
            runs = [
                _run(candidate, part, data, seed, rate_at(first, place), epochs, (i, place))
                for i, (candidate, first) in enumerate(zip(candidates, firsts, strict=True))
                for place in fresh
            ]
            train(runs, part, halving(epochs), f"tuning, seed {seed}")
            for run in runs:
                i, place = run.place
                if (value := _final(run, epochs)) is not None:
                    known[i][k][place] = value
        total, trials = total + len(seeds) * epochs_of(len(fresh), epochs), trials + len(seeds) * len(fresh)
        best = [_median(each) for each in known]
        below = [*range(low - WIDENED_BY, low)] if min(best) == low else []
        above = [*range(high + 1, high + 1 + WIDENED_BY)] if max(best) == high else []
        fresh = [*below, *above]
        if not fresh or widenings == MOST_WIDENINGS:
            break
        low, high = min(low, *fresh), max(high, *fresh)
        if expect is not None:
            expect(len(candidates) * len(seeds) * epochs_of(len(fresh), epochs))
    rates = tuple(rate_at(firsts[0], place) for place in range(low, high + 1))
    chosen = tuple(rate_at(first, place) for first, place in zip(firsts, best, strict=True))
    return Tuning(rates, chosen, len(seeds), total, trials, tuple(place in (low, high) for place in best))


class _Trial(Run):
    """A run of the search; ``place`` is the index of its candidate and its position on the grid."""

    place: tuple[int, int]


def _run(candidate: Candidate, part: Part, data: Data, seed: int, rate: float, epochs: int, place: tuple[int, int]) -> _Trial:
    run = _Trial(
        candidate.net(data.shape, data.outputs, seed),
        optimizer=candidate.with_rate(rate),
        loss=candidate.loss,
        epochs=epochs,
        batch_size=candidate.batch_size,
        rows=part.train,
        validation_rows=part.validation,
        seed=seed,
        name=f"{candidate.label}, lr {rate:g}",
        group=place[0],
    )
    run.place = place
    return run


def final_run(candidate: Candidate, part: Part, data: Data, seed: int, rate: float | None, epochs: int, callbacks: Any) -> Run:
    """Return the final run of a candidate, which is scored."""
    return Run(
        candidate.net(data.shape, data.outputs, seed),
        optimizer=candidate.with_rate(rate),
        loss=candidate.loss,
        epochs=epochs,
        batch_size=candidate.batch_size,
        rows=part.train,
        validation_rows=part.validation,
        callbacks=callbacks,
        seed=seed,
        name=candidate.label,
    )


def _final(run: Run, epochs: int) -> float | None:
    """Return the final metric of a trial that completed all epochs, or None."""
    hist = run.history
    if hist is None or hist.status in ("pruned", "diverged", "failed"):
        return None
    values = hist.history.get(METRIC, [])
    return values[-1] if len(values) == epochs and math.isfinite(values[-1]) else None


def _median(found: Sequence[dict[int, float]]) -> int:
    """Return the median position of the best trial of each seed; the middle of the grid if all diverged."""
    best = [min(places, key=lambda place: (places[place], place)) for places in found if places]
    return statistics.median_low(best) if best else 0


class Trainer:
    """Train runs, and show their common progress on standard error.

    Parameters
    ----------
    loss : optional
        The loss of runs that have none.
    n_jobs, verbose
        As in `fit_many`.
    epochs : int
        The expected total number of epochs.
    executor : optional
        Where runs without a budget train, as in `fit_many`. Runs with a budget pause, so they train in this process.
    """

    def __init__(self, loss: Any, n_jobs: int | None, verbose: int | str, epochs: int, executor: Any = None) -> None:
        self.loss, self.n_jobs, self.progress, self.executor = loss, n_jobs, Progress(verbose, epochs), executor
        self._lock = threading.Lock()
        self._what = ""

    def __call__(self, runs: Sequence[Run], part: Part, budget: Halving | None, what: str) -> list[Any]:
        """Train runs on a part of the data."""
        self._what = what
        executor = self.executor if budget is None else None
        for run in runs if self.progress.on and executor is None else ():
            run.callbacks = [*(run.callbacks or ()), _Tick(self)]  # type: ignore[misc]
        n_jobs = self.n_jobs if executor is None or isinstance(executor, str) else None
        found = fit_many(runs, part.X, part.y, loss=self.loss, n_jobs=n_jobs, budget=budget, executor=executor, verbose=False)
        if self.progress.on:
            self.progress.advance(0 if executor is None else sum(run.epochs for run in runs), what, what)
        return found

    def expect(self, epochs: int) -> None:
        """Add to the expected number of epochs."""
        self.progress.epochs += epochs
        if self.progress.bar is not None:
            self.progress.bar.total = self.progress.epochs

    def tick(self) -> None:
        """Show that a run has completed an epoch."""
        with self._lock:
            self.progress.advance(1, self._what, None)


class _Tick(Callback):
    _any_thread = True

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.trainer.tick()

"""The training of candidates: the search for learning rates, and the final runs."""

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
"""So many steps of a third of a decade to either side of the first learning rate."""
WIDENED_BY = 3
MOST_WIDENINGS = 4
TUNING_SEEDS = 3
METRIC = "val_loss"


@dataclass(frozen=True)
class Tuning:
    """What the search for learning rates tried and found."""

    rates: tuple[float, ...]
    """The grid that all candidates have in common, relative to each candidate's own first rate where those differ."""
    chosen: tuple[float, ...]
    """The rate of each candidate."""
    seeds: int
    epochs: int
    """Budget of each candidate: epochs in all trials together."""
    trials: int
    """Of each candidate."""
    at_border: tuple[bool, ...]
    """Whether a candidate's best rate lies at the end of the grid even after all widenings."""


def rate_at(first: float, place: int) -> float:
    """Return the rate so many thirds of a decade above the first, rounded to 4 digits."""
    return float(f"{first * 10 ** (place / 3):.4g}")


def first_rate(candidate: Candidate, lr: float | None) -> float:
    """Return the middle of a candidate's grid: the given rate, or the optimizer's own."""
    if lr is not None:
        return lr
    own = candidate.optimizer.defaults.get("lr")
    if not isinstance(own, (int, float)) or not own > 0:
        name = type(candidate.optimizer).__name__
        raise ValueError(f"tune: {name} has no learning rate to tune; pass tune=None, or lr= and an optimizer with one")
    return float(own)


def halving(epochs: int) -> Halving:
    """Return when trials of so many epochs are compared: after a ninth and a third of them."""
    return Halving(METRIC, factor=3, first=max(1, math.ceil(epochs / 9)))


def epochs_of(trials: int, epochs: int) -> int:
    """Return how many epochs trials take together."""
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

    For each of some seeds all rates of a grid compete by successive halving; a candidate's rate is the median of the winners. While
    the best of any candidate lies at the end of the grid, the grid is widened on that side, for all candidates; ``expect`` is called
    with the number of epochs that this adds.
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
    """A run of the search: ``place`` is the number of its candidate and its place on the grid."""

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
    """Return the run of a candidate whose score counts."""
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
    """Return the number by which a trial that took all epochs is judged, None for others."""
    hist = run.history
    if hist is None or hist.status in ("pruned", "diverged", "failed"):
        return None
    values = hist.history.get(METRIC, [])
    return values[-1] if len(values) == epochs and math.isfinite(values[-1]) else None


def _median(found: Sequence[dict[int, float]]) -> int:
    """Return the median place of the best trial of each seed; the middle of the grid where all diverged."""
    best = [min(places, key=lambda place: (places[place], place)) for places in found if places]
    return statistics.median_low(best) if best else 0


class Trainer:
    """Trains runs, and shows the progress of all of them together on standard error.

    Parameters
    ----------
    loss : optional
        Of runs without their own.
    n_jobs, verbose
        As in `fit_many`.
    epochs : int
        The number of epochs that are expected in all.
    executor : optional
        Where runs without a budget train, as in `fit_many`; those with a budget pause, and so train in this process.
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
        """Add to the number of epochs that are expected."""
        self.progress.epochs += epochs
        if self.progress.bar is not None:
            self.progress.bar.total = self.progress.epochs

    def tick(self) -> None:
        """Show that a run has ended an epoch."""
        with self._lock:
            self.progress.advance(1, self._what, None)


class _Tick(Callback):
    _any_thread = True

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.trainer.tick()

"""The results that a comparison keeps of its training runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isinf
from statistics import fmean, median, stdev
from typing import Any

from .._training.callback import Callback, Logs
from .._training.health import Health, LayerHealth
from ._cost import Cost
from ._diagnosis import Calibration, PreActivation


def unit_shares(health: Health) -> tuple[float, float]:
    """Return the shares of the hidden units of a net that are dead, and that are saturated."""
    rows = [row for row in health if row.units]
    units = max(sum(row.units for row in rows), 1)
    return sum(row.dead * row.units for row in rows) / units, sum(row.saturated * row.units for row in rows) / units


class HealthRecord(Callback):
    """Record the health of the first and the last epoch, and the shares of dead and saturated units of every epoch."""

    _any_thread = True

    def __init__(self) -> None:
        self.first: Health | None = None
        self.last: Health | None = None
        self.shares: dict[str, list[float]] = {"dead": [], "saturated": []}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.last = self.model.health()
        for values, share in zip(self.shares.values(), unit_shares(self.last), strict=True):
            values.append(share)
        if self.first is None:
            self.first = self.last


@dataclass(frozen=True)
class RunRecord:
    """A final training run, with its score.

    Attributes
    ----------
    seed : int
        The seed of the split, the initial values and the order of samples.
    score, loss : float
        On the test rows, after the last epoch.
    status : str
        How the training ended: 'finished' or 'diverged'. A diverged net has the weights of its last good epoch.
    history : dict of str to list of float
        One number per epoch: ``loss`` and ``accuracy`` of training, ``val_loss`` and ``val_accuracy`` of the validation rows, and the
        shares of hidden units that were ``dead`` and ``saturated``.
    first_health, health : Health or None
        The health in the first and in the last epoch.
    seconds : float
        The time of the training.
    calibration : Calibration or None
        Confidence and accuracy on the test rows; None unless the target is a single one of classes and the net gives probabilities.
    pre_activations : tuple of PreActivation
        The inputs of each activation on up to 256 validation rows, after the last epoch.

    Examples
    --------
    >>> import pynn, pynn.lab
    >>> X, y = pynn.datasets.load_digits()
    >>> report = pynn.lab.compare(X, y, activations=["relu", "tanh"], hidden=(16,), epochs=2, seeds=2, tune=None)
    >>> run = report["relu"].runs[1]
    >>> run.seed, run.status, len(run.history["val_loss"]), run.pre_activations[0].kind
    (1, 'finished', 2, 'ReLU')
    """

    seed: int
    score: float
    loss: float
    status: str
    history: dict[str, list[float]]
    first_health: Health | None
    health: Health | None
    seconds: float
    calibration: Calibration | None = None
    pre_activations: tuple[PreActivation, ...] = ()

    def to_plain(self, timings: bool) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "seed": self.seed,
            "score": self.score,
            "loss": self.loss,
            "status": self.status,
            "history": self.history,
            "first_health": None if self.first_health is None else self.first_health.to_plain(),
            "health": None if self.health is None else self.health.to_plain(),
            "calibration": self.calibration,
            "pre_activations": self.pre_activations,
            **({"seconds": self.seconds} if timings else {}),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> RunRecord:
        """Return the record that `to_plain` described."""
        health = {key: None if plain[key] is None else Health.from_plain(plain[key]) for key in ("first_health", "health")}
        calibration = plain["calibration"]
        history = {str(name): [float(value) for value in values] for name, values in plain["history"].items()}
        return cls(
            int(plain["seed"]),
            float(plain["score"]),
            float(plain["loss"]),
            str(plain["status"]),
            history,
            **health,
            seconds=float(plain.get("seconds", math.nan)),
            calibration=None if calibration is None else Calibration.from_plain(calibration),
            pre_activations=tuple(map(PreActivation.from_plain, plain["pre_activations"])),
        )


@dataclass(frozen=True)
class Entry:
    """A candidate of a comparison, with its training runs.

    Attributes
    ----------
    label : str
        Its name in the report.
    lr : float or None
        The learning rate of its final runs; None: that of its optimizer.
    at_border : bool
        Whether that rate lies at an end of the grid that was searched.
    runs : tuple of RunRecord
        One training run per seed.
    parameters : int
        The number of parameters of a net.
    steps : int
        The number of updates in a final run.
    cost : Cost
        Nanoseconds per element of the activation, forward and backward.

    Examples
    --------
    >>> import pynn, pynn.lab
    >>> X, y = pynn.datasets.load_digits()
    >>> report = pynn.lab.compare(X, y, activations=["relu", "tanh"], hidden=(16,), epochs=2, seeds=2, tune=None)
    >>> entry = report["tanh"]
    >>> entry.label, len(entry.scores), entry.parameters, len(entry.curve("val_accuracy"))
    ('tanh', 2, 1210, 2)
    >>> 0 <= entry.calibration_error <= 1
    True
    """

    label: str
    lr: float | None
    at_border: bool
    runs: tuple[RunRecord, ...]
    parameters: int
    steps: int
    cost: Cost

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each seed."""
        return tuple(run.score for run in self.runs)

    @property
    def score(self) -> float:
        """The mean of the scores."""
        return fmean(self.scores)

    @property
    def deviation(self) -> float:
        """The sample standard deviation of the scores; 0 with one seed."""
        return stdev(self.scores) if len(self.runs) > 1 else 0.0

    @property
    def loss(self) -> float:
        """The mean loss on the test rows."""
        return fmean(run.loss for run in self.runs)

    @property
    def seconds(self) -> float:
        """The mean time of a training run."""
        return fmean(run.seconds for run in self.runs)

    @property
    def diverged(self) -> int:
        """The number of training runs that diverged."""
        return sum(run.status == "diverged" for run in self.runs)

    @property
    def dead(self) -> float:
        """The share of hidden units that are dead after the last epoch, averaged over the seeds."""
        return self._share("dead")

    @property
    def saturated(self) -> float:
        """The share of hidden units that are saturated after the last epoch, averaged over the seeds."""
        return self._share("saturated")

    def _share(self, kind: str) -> float:
        place = ("dead", "saturated").index(kind)
        return fmean(unit_shares(run.health)[place] if run.health is not None else 0.0 for run in self.runs)

    def epochs_to(self, target: float) -> int | None:
        """Return the median of the first epoch that reached a validation accuracy; None if at least half of the runs did not."""
        reached = [next((float(i) for i, v in enumerate(run.history.get("val_accuracy", ()), 1) if v >= target), inf) for run in self.runs]
        middle = median(reached)
        return None if isinf(middle) else ceil(middle)

    def seconds_to(self, target: float) -> float | None:
        """Return the mean time in seconds up to that epoch."""
        epochs, all_epochs = self.epochs_to(target), max(len(run.history.get("loss", ())) for run in self.runs)
        return None if epochs is None else self.seconds * epochs / all_epochs

    def curve(self, name: str) -> list[tuple[float, float, float]]:
        """Return the mean, minimum and maximum of a number over the seeds, as one tuple per epoch."""
        columns = zip(*(run.history.get(name, ()) for run in self.runs if run.status != "diverged"), strict=False)
        return [(fmean(values), min(values), max(values)) for values in columns]

    def layers(self, first: bool = False) -> Iterator[tuple[LayerHealth, ...]]:
        """Yield for each layer its rows of all runs, in the first or in the last epoch."""
        found = [run.first_health if first else run.health for run in self.runs]
        yield from zip(*(health.rows for health in found if health is not None), strict=False)

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the predictions of all seeds together; None where it is not known."""
        known = [run.calibration for run in self.runs if run.calibration is not None]
        return Calibration.pooled(known) if known else None

    @property
    def calibration_error(self) -> float:
        """The mean over the seeds of the expected calibration error; NaN where it is not known."""
        known = [run.calibration.error for run in self.runs if run.calibration is not None]
        return fmean(known) if known else math.nan

    def pre_activations(self) -> Iterator[tuple[PreActivation, ...]]:
        """Yield for each activation layer the distribution of its inputs in every run."""
        yield from zip(*(run.pre_activations for run in self.runs if run.pre_activations), strict=False)

    def input_quantiles(self) -> list[tuple[float, ...]]:
        """Return for each activation layer the quantiles of its inputs, each the mean over the seeds."""
        return [tuple(map(fmean, zip(*(one.quantiles for one in layer), strict=True))) for layer in self.pre_activations()]

    def gradient_ratio(self) -> float | None:
        """Return the ratio of the gradient norm of the last layer with parameters to that of the first.

        It is the geometric mean over the seeds, in the first epoch; None if it is unknown.
        """
        logs = []
        for run in self.runs:
            rows = [row.gradient for row in run.first_health or () if not math.isnan(row.gradient)]
            if len(rows) > 1 and rows[0] > 0 and rows[-1] > 0:
                logs.append(math.log(rows[-1] / rows[0]))
        return math.exp(fmean(logs)) if logs else None

    def with_timings(self, other: Entry) -> Entry:
        """Return a copy with the times of another entry."""
        runs = tuple(replace(run, seconds=one.seconds) for run, one in zip(self.runs, other.runs, strict=True))
        return replace(self, runs=runs, cost=other.cost)

    def to_plain(self, timings: bool) -> dict[str, Any]:
        """Return plain data for JSON."""
        plain = {name: getattr(self, name) for name in ("label", "lr", "at_border", "parameters", "steps")}
        plain["runs"] = [run.to_plain(timings) for run in self.runs]
        return plain | ({"cost": list(self.cost)} if timings else {})

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Entry:
        """Return the record that `to_plain` described."""
        lr = plain["lr"]
        return cls(
            str(plain["label"]),
            None if lr is None else float(lr),
            bool(plain["at_border"]),
            tuple(map(RunRecord.from_plain, plain["runs"])),
            int(plain["parameters"]),
            int(plain["steps"]),
            Cost(*map(float, plain.get("cost", (math.nan, math.nan)))),
        )


def record(
    run: Any,
    score: float,
    loss: float,
    kept: HealthRecord,
    seed: int,
    calibration: Calibration | None,
    inputs: tuple[PreActivation, ...],
) -> RunRecord:
    """Return the record of a run that has ended."""
    hist = run.history
    numbers: dict[str, list[float]] = {name: [*values] for name, values in hist.history.items() if name != "seconds"}
    numbers |= kept.shares
    seconds = math.fsum(hist.history.get("seconds", ()))
    return RunRecord(seed, score, loss, hist.status, numbers, kept.first, kept.last, seconds, calibration, inputs)


def listed_scores(entries: Sequence[Entry]) -> dict[str, tuple[float, ...]]:
    """Return the scores by label, in the form that `analyze` accepts."""
    return {entry.label: entry.scores for entry in entries}

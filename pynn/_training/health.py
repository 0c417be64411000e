"""Health reports on the layers of a model, during training or on given data: a table and advice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .advice import LEVELS, NOTE, PROBLEM, Finding, HealthThresholds, number, of_flow, of_layer, sentences
from .scale import Observed

if TYPE_CHECKING:
    from .. import _core

_Raw = tuple[int, int, int, int, int, float, float, float, float, float, bool, bool]
"""The core's report on a node: units, dead, saturated, looks, updates, mean, spread, gradient, update, weight, flat_low, flat_high."""
_FLAT = {(False, False): "", (True, False): "low", (False, True): "high", (True, True): "both"}


class LayerHealth(NamedTuple):
    """The health of one layer. NaN: no value, since the layer has no activation, output or parameters, or was not measured."""

    layer: str
    """The name of the layer in the model."""
    kind: str
    """The class of the layer."""
    units: int
    """The number of units of an elementwise activation: channels of images, otherwise the size of the last axis; 0 for other layers."""
    dead: float
    """The share of units through which no gradient passed, on any sample."""
    saturated: float
    """The share of the other units whose derivative was below 5 % of its maximum on at least 95 % of the measured samples."""
    mean: float
    """The mean of the outputs."""
    spread: float
    """The standard deviation of the outputs."""
    gradient: float
    """The norm of the gradient of the parameters before clipping, as root mean square over the measured steps."""
    update: float
    """The change of the parameters in a step, relative to their norm; an L-BFGS step includes all its iterations."""
    flat: str = ""
    """Where the activation's derivative is small: 'low' (at -20, as ReLU's), 'high' (at 20), 'both' (as tanh's), or '' nowhere."""


class Health:
    """The health of a model's layers in an epoch of ``fit``, or on given data. It is shown as a table, also in notebooks.

    Attributes
    ----------
    rows : list of LayerHealth
        One for each layer, in the order of the net.
    problems, notes : list of str
        Sentences about what prevents the net from learning well, and about facts that are also common in nets that learn well.
    advice : list of str
        All of them with their level: ``"problem: ..."`` first, then ``"note: ..."``; empty if there are none.
    looks, updates : int
        The numbers of batches whose outputs, and whose gradients, were measured. Dead units are counted on more batches.
    epoch : int or None
        The epoch of the training, from 1; None for given data.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential(pynn.Linear(2, 4, seed=0), "tanh", pynn.Linear(4, 1, seed=1))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", epochs=2, seed=0)
    >>> health = model.health()
    >>> [row.layer for row in health], health.epoch
    (['0', '1', '2'], 2)
    """

    def __init__(
        self, rows: Iterable[LayerHealth], looks: int, updates: int, epoch: int | None, data: Observed | Iterable[Finding] = ()
    ) -> None:
        self.rows, self.looks, self.updates, self.epoch = list(rows), looks, updates, epoch
        self._data = data if isinstance(data, Observed) else tuple(data)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_data": self._on_data()}

    def _on_data(self) -> tuple[Finding, ...]:
        return self._data.findings if isinstance(self._data, Observed) else self._data

    def to_plain(self) -> list[Any]:
        """Return the report as plain data for JSON."""
        return [[[*row] for row in self.rows], self.looks, self.updates, self.epoch, [[*one[:5]] for one in self._on_data()]]

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """Return the report that `to_plain` describes, or raise if a file holds anything else."""
        rows, looks, updates, epoch, data = plain
        found = []
        for layer, kind, units, *numbers, flat in rows:
            dead, saturated, mean, spread, gradient, update = map(float, numbers)
            found.append(LayerHealth(str(layer), str(kind), int(units), dead, saturated, mean, spread, gradient, update, str(flat)))
        known = []
        for level, rule, where, text, subject in data:
            if level not in LEVELS:
                raise ValueError(f"its advice has an unknown level, {level!r}")
            known.append(Finding(level, str(rule), str(where), str(text), str(subject)))
        return cls(found, int(looks), int(updates), None if epoch is None else int(epoch), known)

    def __iter__(self) -> Iterator[LayerHealth]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, layer: int | str) -> LayerHealth:
        """Return the row of a layer by index or name."""
        if isinstance(layer, int):
            return self.rows[layer]
        for row in self.rows:
            if row.layer == layer:
                return row
        raise KeyError(f"no layer {layer!r}; known: {', '.join(row.layer for row in self.rows)}")

    @property
    def problems(self) -> list[str]:
        """Sentences about what prevents the net from learning well."""
        return sentences(one for one in self.findings() if one.level == "problem")

    @property
    def notes(self) -> list[str]:
        """Sentences about facts that are also common in nets that learn well."""
        return sentences(one for one in self.findings() if one.level == "note")

    @property
    def advice(self) -> list[str]:
        """All sentences, with their level."""
        return [*(f"problem: {text}" for text in self.problems), *(f"note: {text}" for text in self.notes)]

    def findings(self, problem: HealthThresholds = PROBLEM, note: HealthThresholds | None = NOTE) -> list[Finding]:
        """Return what exceeds the thresholds, not yet merged into sentences; ``note=None`` leaves out the notes."""
        when = "in the last epoch" if self.epoch is not None else "on these data"
        found = [one for one in self._on_data() if note is not None or one.level == "problem"]
        for i, row in enumerate(self.rows):
            found += of_layer(row, i == len(self.rows) - 1, when, problem, note)
        return [*found, *of_flow(self.rows, problem, note)]

    # ---- the table ------------------------------------------------------------------------------------------------
    def _cells(self) -> list[list[str]]:
        head = ["layer", "", "units", "dead", "saturated", "mean", "spread", "gradient", "update"]
        return [head, *([row.layer, row.kind, str(row.units or "-"), *_percents(row), *map(_short, row[5:9])] for row in self.rows)]

    def _about(self) -> str:
        what = "given data" if self.epoch is None else f"epoch {self.epoch}"
        return f"{what}; outputs of {self.looks} {'batch' if self.looks == 1 else 'batches'}, gradients of {self.updates}"

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(f"{text:{'<' if k < 2 else '>'}{widths[k]}}" for k, text in enumerate(line)).rstrip() for line in cells]
        return "\n".join([*lines, self._about(), *(f"- {text}" for text in self.advice)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        import html

        from .html import html_table

        head, *body = self._cells()
        table = html_table(head, body, texts=2)
        points = "".join(f"<li>{html.escape(text)}</li>" for text in self.advice)
        return f"{table}<p>{html.escape(self._about())}</p>" + (f"<ul>{points}</ul>" if points else "")

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with one row per layer.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("Health.to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.rows, columns=LayerHealth._fields).set_index("layer")


class Monitor:
    """Reports the health of a training while it runs."""

    def __init__(self, run: _core.Fit, owners: Mapping[int, tuple[str, str]], data: Observed) -> None:
        self.run, self.owners, self.data, self.epoch = run, owners, data, 0

    def report(self) -> Health:
        """Return the report of the epoch so far."""
        return report(self.run.health or (), self.owners, self.epoch + 1, self.data)


def measure(run: _core.Fit, owners: Mapping[int, tuple[str, str]], data: Observed) -> Health:
    """Measure the health on the data of a run without training."""
    run.measure_health()
    return report(run.health or (), owners, None, data)


def report(raw: Iterable[_Raw], owners: Mapping[int, tuple[str, str]], epoch: int | None, data: Observed) -> Health:
    """Create a report from the core's measurements of each node; ``owners`` holds the name and class of each node's layer."""
    nodes: dict[tuple[str, str], list[_Raw]] = {}
    looks = updates = 0
    for i, one in enumerate(raw):
        looks, updates = max(looks, one[3]), max(updates, one[4])
        if i in owners and (one[0] or one[3] or one[4]):
            nodes.setdefault(owners[i], []).append(one)
    return Health((_row(*owner, given) for owner, given in nodes.items()), looks, updates, epoch, data)


def _row(layer: str, kind: str, nodes: list[_Raw]) -> LayerHealth:
    """Join the nodes of a layer; its output is that of the last."""
    units = sum(n[0] for n in nodes)
    dead, saturated = (sum(n[k] for n in nodes) / units if units else math.nan for k in (1, 2))
    mean, spread = next(((n[5], n[6]) for n in reversed(nodes) if n[3]), (math.nan, math.nan))
    learnt = [n for n in nodes if n[4]]
    gradient, update, weight = (math.sqrt(sum(n[k] ** 2 for n in learnt)) if learnt else math.nan for k in (7, 8, 9))
    flat = next((_FLAT[n[10], n[11]] for n in reversed(nodes) if n[0]), "")
    return LayerHealth(layer, kind, units, dead, saturated, mean, spread, gradient, update / weight if weight else math.nan, flat)


def _percents(row: LayerHealth) -> list[str]:
    return [f"{share:.0%}" if row.units else "-" for share in (row.dead, row.saturated)]


def _short(value: float) -> str:
    return "-" if math.isnan(value) else number(value)

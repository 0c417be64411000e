"""What a model's layers show of themselves while it trains, or on given data: a table, and advice in words."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from .. import _core

_Raw = tuple[int, int, int, int, int, float, float, float, float, float]
"""What the core says of a node: units, dead, saturated, looks, updates, mean, spread, gradient, update, weight."""


class LayerHealth(NamedTuple):
    """One layer. NaN stands where there is nothing to say: no activation, no output of its own, nothing to learn, or not looked at."""

    layer: str
    """Its name in the model."""
    kind: str
    """Its class."""
    units: int
    """Of its elementwise activation: channels of images, else numbers of a sample's last axis; 0 where it has none."""
    dead: float
    """The share of units through which no gradient passed, on any sample."""
    saturated: float
    """The share of the others whose derivative was small (below 5 % of its largest) on at least 95 % of what was looked at."""
    mean: float
    """Of the outputs."""
    spread: float
    """Their standard deviation."""
    gradient: float
    """The length of the gradient of its parameters, before any clipping: root mean square over the steps looked at."""
    update: float
    """How much a step changed its parameters, as a part of their length; a step of L-BFGS with all its iterations."""


class Limits(NamedTuple):
    """Beyond what something is worth a sentence."""

    dead: float = 0.1
    """The share of dead units."""
    saturated: float = 0.25
    """The share of saturated units."""
    gradient: float = 1e3
    """How many times longer the gradient of one end of the net may be than that of the other."""
    update: float = 0.1
    """The part of its length by which a step may change a layer."""
    output: float = 1e3
    """The mean, or spread, of a hidden layer's outputs."""


_STILL = 1e-6
"""A training whose steps change every layer by a smaller part of its length stands still."""
_FLAT = 1e-6
"""Outputs of a hidden layer with less spread are all the same."""


class Health:
    """What the layers of a model showed in an epoch of ``fit``, or on given data: a table when printed, in a notebook too.

    Attributes
    ----------
    rows : list of LayerHealth
        One a layer, in the order of the net.
    advice : list of str
        What is worth a sentence, and what to do about it; empty when all is well.
    looks, updates : int
        In how many batches outputs were looked at, and gradients. Whether a unit is dead is known of more batches than that.
    epoch : int or None
        Of the training, from 0; None on given data.
    """

    def __init__(self, rows: Iterable[LayerHealth], looks: int, updates: int, epoch: int | None) -> None:
        self.rows, self.looks, self.updates, self.epoch = list(rows), looks, updates, epoch

    def to_plain(self) -> list[Any]:
        """Return it as JSON has it, for a `pynn.Checkpoint`."""
        return [[[*row] for row in self.rows], self.looks, self.updates, self.epoch]

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """Return what `to_plain` of another said, or raise where a file gives anything else."""
        rows, looks, updates, epoch = plain
        found = [LayerHealth(str(layer), str(kind), int(units), *map(float, numbers)) for layer, kind, units, *numbers in rows]
        return cls(found, int(looks), int(updates), None if epoch is None else int(epoch))

    def __iter__(self) -> Iterator[LayerHealth]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, layer: int | str) -> LayerHealth:
        """Return the row of a layer, by place or by name."""
        if isinstance(layer, int):
            return self.rows[layer]
        for row in self.rows:
            if row.layer == layer:
                return row
        raise KeyError(f"no layer {layer!r}; known: {', '.join(row.layer for row in self.rows)}")

    @property
    def advice(self) -> list[str]:
        """Sentences about what is worth one."""
        return [text for _, text in self.findings(Limits())]

    def findings(self, limits: Limits) -> list[tuple[tuple[str, str], str]]:
        """Return what is beyond limits: each finding's kind and layer, and a sentence."""
        when = "in the last epoch" if self.epoch is not None else "on these data"
        found = [finding for i, row in enumerate(self.rows) for finding in _of_layer(row, i == len(self.rows) - 1, limits, when)]
        return found + _of_flow(self.rows, limits)

    # ---- the table ------------------------------------------------------------------------------------------------
    def _cells(self) -> list[list[str]]:
        head = ["layer", "", "units", "dead", "saturated", "mean", "spread", "gradient", "update"]
        return [head, *([row.layer, row.kind, str(row.units or "-"), *_percents(row), *map(_short, row[5:])] for row in self.rows)]

    def _about(self) -> str:
        what = "given data" if self.epoch is None else f"epoch {self.epoch + 1}"
        return f"{what}; outputs of {self.looks} batches, gradients of {self.updates}"

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(f"{text:{'<' if k < 2 else '>'}{widths[k]}}" for k, text in enumerate(line)).rstrip() for line in cells]
        return "\n".join([*lines, self._about(), *(f"- {text}" for text in self.advice)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = [
            "".join(f"<{'td' if i else 'th'}>{html.escape(text)}</{'td' if i else 'th'}>" for text in line)
            for i, line in enumerate(self._cells())
        ]
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in body)}</tbody></table>"
        points = "".join(f"<li>{html.escape(text)}</li>" for text in self.advice)
        return f"{table}<p>{html.escape(self._about())}</p>" + (f"<ul>{points}</ul>" if points else "")

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame: a row a layer.

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


class Watch:
    """A training that is looked at while it runs."""

    def __init__(self, run: _core.Fit, owners: Mapping[int, tuple[str, str]]) -> None:
        self.run, self.owners, self.epoch = run, owners, 0

    def report(self) -> Health:
        """Return what there is of the epoch so far."""
        return report(self.run.health or (), self.owners, self.epoch)


def measure(run: _core.Fit, owners: Mapping[int, tuple[str, str]]) -> Health:
    """Go through the data of a training that is none, to look alone."""
    run.look()
    return report(run.health or (), owners, None)


def report(raw: Iterable[_Raw], owners: Mapping[int, tuple[str, str]], epoch: int | None) -> Health:
    """Make a table from what the core says of each node, whose layer is known by name and class."""
    nodes: dict[tuple[str, str], list[_Raw]] = {}
    looks = updates = 0
    for i, one in enumerate(raw):
        looks, updates = max(looks, one[3]), max(updates, one[4])
        if i in owners and (one[0] or one[3] or one[4]):
            nodes.setdefault(owners[i], []).append(one)
    return Health((_row(*owner, given) for owner, given in nodes.items()), looks, updates, epoch)


def _row(layer: str, kind: str, nodes: list[_Raw]) -> LayerHealth:
    """Join the nodes that a layer is made of; its output is that of the last."""
    units = sum(n[0] for n in nodes)
    dead, saturated = (sum(n[k] for n in nodes) / units if units else math.nan for k in (1, 2))
    mean, spread = next(((n[5], n[6]) for n in reversed(nodes) if n[3]), (math.nan, math.nan))
    learnt = [n for n in nodes if n[4]]
    gradient, update, weight = (math.sqrt(sum(n[k] ** 2 for n in learnt)) if learnt else math.nan for k in (7, 8, 9))
    return LayerHealth(layer, kind, units, dead, saturated, mean, spread, gradient, update / weight if weight else math.nan)


def _percents(row: LayerHealth) -> list[str]:
    return [f"{share:.0%}" if row.units else "-" for share in (row.dead, row.saturated)]


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


# ---- advice --------------------------------------------------------------------------------------------------------------
_Finding = tuple[tuple[str, str], str]


def _of_layer(row: LayerHealth, last: bool, limits: Limits, when: str) -> Iterator[_Finding]:
    """Yield what a layer shows by itself; what comes out of the last one may be as large, or as settled, as the targets want it."""
    one_sided = "lu" in row.kind.lower()
    if row.dead >= limits.dead and row.units:
        what = (
            f"{_percent(row.dead)} of {row.kind} units never fired"
            if one_sided
            else f"no gradient passed {_percent(row.dead)} of {row.kind} units"
        )
        cure = (
            "lower the learning rate or use LeakyReLU"
            if one_sided
            else "start from smaller weights, or use an activation that is flat nowhere"
        )
        yield ("dead", row.layer), f"layer {row.layer}: {what} {when}; {cure}"
    if row.saturated >= limits.saturated and row.units and not last:
        what = f"{_percent(row.saturated)} of {row.kind} units " + (
            "fired for less than 5 % of the samples" if one_sided else "are saturated"
        )
        cure = (
            "lower the learning rate or use LeakyReLU"
            if one_sided
            else "start from smaller weights, normalise the inputs, or use ReLU or GELU"
        )
        yield ("saturated", row.layer), f"layer {row.layer}: {what} {when}; {cure}"
    size = max(abs(row.mean), row.spread)
    if size > limits.output and not last:
        text = (
            f"layer {row.layer}: its outputs are as large as {size:.2g}; normalise the inputs, start from smaller weights, or add LayerNorm"
        )
        yield ("output", row.layer), text
    if row.spread < _FLAT and not last:
        text = f"layer {row.layer}: its outputs are all but the same (spread {row.spread:.1g}); start from larger weights, or add LayerNorm"
        yield ("flat", row.layer), text
    if row.update > limits.update:
        text = f"layer {row.layer}: a step changes its parameters by {_percent(row.update)} of their length, where 0.1 % is usual"
        yield ("update", row.layer), f"{text}; lower the learning rate"


def _of_flow(rows: list[LayerHealth], limits: Limits) -> list[_Finding]:
    """Return what the layers show together: whether the gradient gets through to the first, and whether steps change anything."""
    learning = [row for row in rows if not math.isnan(row.gradient)]
    found: list[_Finding] = []
    if len(learning) > 1:
        first, last = learning[0], learning[-1]
        if first.gradient == 0 < last.gradient:
            found.append(
                (("vanishing", first.layer), f"layer {first.layer}: no gradient gets here; the layers behind it are dead or saturated")
            )
        elif first.gradient * limits.gradient < last.gradient:
            text = (
                f"layer {first.layer}: its gradient is {last.gradient / first.gradient:,.0f} times shorter than that of layer {last.layer}"
            )
            cure = "it vanishes on its way back: use ReLU or GELU, BatchNorm or LayerNorm, or Residual connections"
            found.append((("vanishing", first.layer), f"{text}; {cure}"))
        elif first.gradient > limits.gradient * last.gradient:
            text = f"layer {first.layer}: its gradient is {_times(first.gradient, last.gradient)} longer than that of layer {last.layer}"
            found.append(
                (("exploding", first.layer), f"{text}; it explodes on its way back: start from smaller weights, or clip it (clip_norm)")
            )
    updates = [row.update for row in learning if not math.isnan(row.update)]
    if updates and any(updates) and max(updates) < _STILL:
        text = (
            f"a step changes no layer by more than {max(updates):.1g} of its length, where 1e-3 is usual; raise the learning rate, or stop"
        )
        found.append((("still", ""), text))
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _times(a: float, b: float) -> str:
    return f"{a / b:,.0f} times" if b else "infinitely"

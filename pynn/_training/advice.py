"""Advice about the health of a net: what to report, how serious it is, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .health import LayerHealth

LEVELS = ("problem", "note")
"""A problem prevents a net from learning well; a note is useful to know, but common in nets that learn well."""


class HealthThresholds(NamedTuple):
    """Thresholds above which a measurement is reported."""

    dead: float
    """The share of dead units."""
    saturated: float
    """The share of saturated units."""
    gradient: float
    """The ratio of the gradient norms at the two ends of the net."""
    update: float
    """The change of a layer in one step, relative to its norm."""
    output: float
    """The mean or the spread of a hidden layer's outputs."""


PROBLEM = HealthThresholds(dead=0.5, saturated=0.75, gradient=1e4, update=0.5, output=1e4)
NOTE = HealthThresholds(dead=0.1, saturated=0.4, gradient=1e3, update=0.1, output=1e3)

_STILL = 1e-6
"""If no step changes a layer by more than this, relative to its norm, training makes no progress."""
_FLAT = 1e-6
"""Outputs of a hidden layer with a smaller spread are considered constant."""


class Finding(NamedTuple):
    """A fact to report. Findings with the same level, rule and text are merged into one sentence."""

    level: str
    """One of LEVELS."""
    rule: str
    """The name of the rule that produced it."""
    where: str
    """The name of the layer, input or target."""
    text: str
    """The text; ``{}`` is replaced by the measured value."""
    subject: str = ""
    """The word before the names in the sentence, such as ``layer``; empty if the text contains its subject."""
    value: float = math.nan
    unit: str = ""
    """The unit of the value, a key of `_UNITS`."""


def sentences(findings: Iterable[Finding]) -> list[str]:
    """Return one sentence for all findings that differ only in the layer and the value."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.level, one.rule, one.text), []).append(one)
    return [_sentence(group) for group in groups.values()]


def _sentence(group: Sequence[Finding]) -> str:
    first = group[0]
    names = [one.where for one in group]
    text = first.text
    if first.unit:
        text = text.replace("{}", _span([one.value for one in group], _UNITS[first.unit]))
    return f"{first.subject}{'s' * (len(names) > 1)} {_listed(names)}: {text}" if first.subject else text


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _span(values: Sequence[float], write: Callable[[float], str]) -> str:
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def number(value: float) -> str:
    """Return a number as readable text: two significant digits, an integer above 100, and no exponent below a million."""
    size = abs(value)
    if not math.isfinite(value):
        return "infinity" if value > 0 else "-infinity" if value < 0 else "NaN"
    if size == 0:
        return "0"
    if 1e-4 <= size < 1e6:
        digits = 1 - math.floor(math.log10(size))
        rounded = round(value, digits)
        return f"{rounded:,.{max(digits, 0)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{rounded:,.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def percent(share: float) -> str:
    """Return a share as a percentage; only exactly 0 and 1 become 0 and 100 %."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{min(100 * share, 99) if share < 1 else 100 * share:.0f} %"


_UNITS: dict[str, Callable[[float], str]] = {"number": number, "percent": percent}


# ---- the rules -----------------------------------------------------------------------------------------------------------
def _level(value: float, limit: str, problem: HealthThresholds, note: HealthThresholds | None) -> str | None:
    """Return the level that a value reaches, or None."""
    if value >= getattr(problem, limit):
        return "problem"
    return "note" if note is not None and value >= getattr(note, limit) else None


def of_layer(row: LayerHealth, last: bool, when: str, problem: HealthThresholds, note: HealthThresholds | None) -> Iterator[Finding]:
    """Yield the findings about a layer. The outputs of the last layer may be large or constant if the targets are."""
    one_sided = row.flat == "low"  # the derivative vanishes for small arguments only
    cure = "; use LeakyReLU or GELU, or restart with a lower learning rate" if one_sided else (
        "; start from smaller weights, scale the inputs, or use an activation that does not saturate"
    )  # fmt: skip
    fine = ", which is common in nets that learn well"
    if row.units and (level := _level(row.dead, "dead", problem, note)):
        what = f"{{}} of {row.kind} units never fired {when}" if one_sided else f"no gradient passed {{}} of {row.kind} units {when}"
        yield Finding(level, "dead", row.layer, what + (cure if level == "problem" else fine), "layer", row.dead, "percent")
    if row.units and not last and (level := _level(row.saturated, "saturated", problem, note)):
        what = "fired for less than 5 % of the samples" if one_sided else "are saturated"
        text = f"{{}} of {row.kind} units {what} {when}{cure if level == 'problem' else fine}"
        yield Finding(level, "saturated", row.layer, text, "layer", row.saturated, "percent")
    size = max(abs(row.mean), row.spread)
    if not last and (level := _level(size, "output", problem, note)):
        text = "outputs are as large as {}; scale the inputs, start from smaller weights, or add LayerNorm"
        yield Finding(level, "output", row.layer, text, "layer", size, "number")
    if row.spread < _FLAT and not last and not (row.units and row.dead == 1):
        text = "outputs are the same for all samples; start from larger weights, or add LayerNorm"
        yield Finding("problem", "flat", row.layer, text, "layer")
    if level := _level(row.update, "update", problem, note):
        text = "a step changes the parameters by {} of their length, where 0.1 % is usual; lower the learning rate"
        yield Finding(level, "update", row.layer, text, "layer", row.update, "percent")


def of_flow(rows: Sequence[LayerHealth], problem: HealthThresholds, note: HealthThresholds | None) -> Iterator[Finding]:
    """Yield the findings about the net: whether the gradient reaches the first layer, and whether steps change anything."""
    learning = [row for row in rows if not math.isnan(row.gradient)]
    if len(learning) > 1:
        yield from _of_ends(learning[0], learning[-1], problem, note)
    updates = [row.update for row in learning if not math.isnan(row.update)]
    if note is not None and any(updates) and max(updates) < _STILL:
        text = f"no step changes a layer by more than {number(max(updates))} of its length, where 0.001 is usual"
        yield Finding("note", "still", "", f"{text}; raise the learning rate, or stop: the training has converged")


def _of_ends(first: LayerHealth, last: LayerHealth, problem: HealthThresholds, note: HealthThresholds | None) -> Iterator[Finding]:
    if first.gradient == 0 < last.gradient:
        text = "no gradient reaches it; the layers after it are dead or saturated"
        yield Finding("problem", "vanishing", first.layer, text, "layer")
        return
    shrinks = first.gradient < last.gradient
    short, long = sorted((first.gradient, last.gradient))
    ratio = long / short if short else math.inf if long else 1.0
    if not (level := _level(ratio, "gradient", problem, note)):
        return
    times = "infinitely" if math.isinf(ratio) else f"{number(ratio)} times"
    text = f"the gradient is {times} {'shorter' if shrinks else 'longer'} than that of layer {last.layer}"
    cure = (
        "it vanishes on its way back: use ReLU or GELU, BatchNorm or LayerNorm, or Residual connections"
        if shrinks
        else "it explodes on its way back: start from smaller weights, or clip it (clip_norm)"
    )
    yield Finding(level, "vanishing" if shrinks else "exploding", first.layer, f"{text}; {cure}", "layer")

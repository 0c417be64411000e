"""Why the entries of a comparison did as they did, in a few words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from ._record import Entry

NOTABLE_RATIO = 100.0
"""Gradients that differ this many times between the first and the last layer are worth a sentence."""
NOTABLE_SHARE = 0.2
"""So is this share of dead or saturated units."""

_TEXT = {
    "en": {
        "shrink": "{label}{depth}: gradients shrink {ratio}-fold between the last and the first layer.",
        "grow": "{label}{depth}: gradients grow {ratio}-fold between the last and the first layer.",
        "depth": " at depth {}",
        "dead": "{label}: {share:.0%} of the hidden units are dead, most in layer {layer} ({most:.0%}).",
        "saturated": "{label}: {share:.0%} of the hidden units are saturated, most in layer {layer} ({most:.0%}).",
        "diverged": "{label}: {count} of {runs} trainings diverged.",
        "border": "{label}: its best learning rate, {lr:g}, lies at the end of the grid; pass lr= to move the grid.",
    },
    "vi": {
        "shrink": "{label}{depth}: gradient nhỏ đi {ratio} lần từ lớp cuối về lớp đầu.",
        "grow": "{label}{depth}: gradient lớn lên {ratio} lần từ lớp cuối về lớp đầu.",
        "depth": " ở độ sâu {}",
        "dead": "{label}: {share:.0%} đơn vị ẩn đã chết, nhiều nhất ở lớp {layer} ({most:.0%}).",
        "saturated": "{label}: {share:.0%} đơn vị ẩn bão hòa, nhiều nhất ở lớp {layer} ({most:.0%}).",
        "diverged": "{label}: {count} trên {runs} lần huấn luyện bị phân kỳ.",
        "border": "{label}: tốc độ học tốt nhất, {lr:g}, nằm ở mép lưới; dùng lr= để dời lưới.",
    },
}


def reasons(entries: Sequence[Entry], depth: int | None, lang: str = "en") -> list[str]:
    """Return what is notable about the entries: gradients, dead and saturated units, divergence, and rates at the end of the grid."""
    found = []
    for entry in entries:
        found += _of_entry(entry, depth, _TEXT[lang])
    return found


def _of_entry(entry: Entry, depth: int | None, t: dict[str, str]) -> list[str]:
    found, label = [], entry.label
    ratio = entry.gradient_ratio()
    if ratio is not None and not 1 / NOTABLE_RATIO < ratio < NOTABLE_RATIO:
        where = t["depth"].format(depth) if depth else ""
        key, times = ("shrink", ratio) if ratio > 1 else ("grow", 1 / ratio)
        found.append(t[key].format(label=label, depth=where, ratio=_rounded(times)))
    for kind in ("dead", "saturated"):
        share = getattr(entry, kind)
        if share >= NOTABLE_SHARE:
            layer, most = _worst(entry, kind)
            found.append(t[kind].format(label=label, share=share, layer=layer, most=most))
    if entry.diverged:
        found.append(t["diverged"].format(label=label, count=entry.diverged, runs=len(entry.runs)))
    if entry.at_border and entry.lr is not None:
        found.append(t["border"].format(label=label, lr=entry.lr))
    return found


def _worst(entry: Entry, kind: str) -> tuple[str, float]:
    """Return the layer with the greatest share of such units, and that share."""
    shares = [(fmean(getattr(row, kind) for row in rows), rows[0].layer) for rows in entry.layers() if rows[0].units]
    most, layer = max(shares, key=lambda one: one[0])
    return layer, most


def _rounded(value: float) -> str:
    """Return a number with two digits: 118,734 is 120,000."""
    if not math.isfinite(value):
        return "infinitely many"
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.0f}" if value < 1e7 else f"{value:.1e}"

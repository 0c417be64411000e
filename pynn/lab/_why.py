"""Possible reasons for the results of a comparison, as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from ._record import Entry

NOTABLE_RATIO = 100.0
"""The ratio of gradient norms between the first and the last layer from which on it is reported."""
NOTABLE_SHARE = 0.2
"""The share of dead or saturated units from which on it is reported."""
NOTABLE_GAP = 0.05
"""And this distance between mean confidence and accuracy."""

_TEXT = {
    "en": {
        "shrink": "{label}{depth}: gradients shrink {ratio}-fold between the last and the first layer.",
        "grow": "{label}{depth}: gradients grow {ratio}-fold between the last and the first layer.",
        "depth": " at depth {}",
        "dead": "{label}: {share:.0%} of the hidden units are dead, the most in layer {layer} ({most:.0%}).",
        "saturated": "{label}: {share:.0%} of the hidden units are saturated, the most in layer {layer} ({most:.0%}).",
        "diverged": "{label}: {count} of {runs} training runs diverged.",
        "border": "{label}: the best learning rate, {lr:g}, lies at an end of the grid; pass lr= to move the grid.",
        "calibration": "Expected calibration error, in points: {each}.",
        "over": "{label} is overconfident: mean confidence {confidence:.1%}, accuracy {accuracy:.1%}.",
        "under": "{label} is underconfident: mean confidence {confidence:.1%}, accuracy {accuracy:.1%}.",
        "inputs": "Inputs of the activations, 5 % to 95 %, {where}: {each}.",
        "one layer": "single layer",
        "two layers": "first and last layer",
        "range": "{low:.2g} to {high:.2g}",
        "and": " and ",
    },
    "vi": {
        "shrink": "{label}{depth}: gradient nhỏ đi {ratio} lần từ lớp cuối về lớp đầu.",
        "grow": "{label}{depth}: gradient lớn lên {ratio} lần từ lớp cuối về lớp đầu.",
        "depth": " ở độ sâu {}",
        "dead": "{label}: {share:.0%} đơn vị ẩn đã chết, nhiều nhất ở lớp {layer} ({most:.0%}).",
        "saturated": "{label}: {share:.0%} đơn vị ẩn bão hòa, nhiều nhất ở lớp {layer} ({most:.0%}).",
        "diverged": "{label}: {count} trên {runs} lần huấn luyện bị phân kỳ.",
        "border": "{label}: tốc độ học tốt nhất, {lr:g}, nằm ở biên của lưới; dùng lr= để dời lưới.",
        "calibration": "Sai số hiệu chuẩn kỳ vọng (ECE), tính bằng điểm: {each}.",
        "over": "{label} quá tự tin: độ tin cậy trung bình {confidence:.1%}, độ chính xác {accuracy:.1%}.",
        "under": "{label} thiếu tự tin: độ tin cậy trung bình {confidence:.1%}, độ chính xác {accuracy:.1%}.",
        "inputs": "Đầu vào của hàm kích hoạt, từ 5 % đến 95 %, {where}: {each}.",
        "one layer": "lớp duy nhất",
        "two layers": "lớp đầu và lớp cuối",
        "range": "{low:.2g} đến {high:.2g}",
        "and": " và ",
    },
}


def reasons(entries: Sequence[Entry], depth: int | None, lang: str = "en") -> list[str]:
    """Return what is notable about the entries: gradients, dead and saturated units, divergence, and rates at the end of the grid."""
    found = []
    for entry in entries:
        found += _of_entry(entry, depth, _TEXT[lang])
    return found


def measured(entries: Sequence[Entry], lang: str = "en") -> list[str]:
    """Return the calibration of the entries, and the range of the inputs of their activations."""
    t, found = _TEXT[lang], []
    errors = [f"{entry.label} {100 * entry.calibration_error:.1f}" for entry in entries if entry.calibration is not None]
    if errors:
        found.append(t["calibration"].format(each=", ".join(errors)))
    for entry in entries:
        calibration = entry.calibration
        if calibration is not None and abs(calibration.gap) >= NOTABLE_GAP:
            key = "over" if calibration.gap > 0 else "under"
            confidence, accuracy = calibration.means
            found.append(t[key].format(label=entry.label, confidence=confidence, accuracy=accuracy))
    known = [(entry.label, entry.input_quantiles()) for entry in entries]
    known = [(label, layers) for label, layers in known if layers]
    if known:
        each = "; ".join(f"{label} {_ranges(layers, t)}" for label, layers in known)
        several = any(len(layers) > 1 for _, layers in known)
        found.append(t["inputs"].format(where=t["two layers" if several else "one layer"], each=each))
    return found


def _ranges(layers: Sequence[Sequence[float]], t: dict[str, str]) -> str:
    """Return where the middle 90 % of the inputs of the first and of the last activation lie."""
    ends = [layers[0], layers[-1]] if len(layers) > 1 else layers
    return t["and"].join(t["range"].format(low=layer[1], high=layer[-2]) for layer in ends)


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
    """Return the layer with the largest share of such units, and that share."""
    shares = [(fmean(getattr(row, kind) for row in rows), rows[0].layer) for rows in entry.layers() if rows[0].units]
    most, layer = max(shares, key=lambda one: one[0])
    return layer, most


def _rounded(value: float) -> str:
    """Return a number rounded to two digits: 118,734 becomes 120,000."""
    if not math.isfinite(value):
        return "infinitely many"
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.0f}" if value < 1e7 else f"{value:.1e}"

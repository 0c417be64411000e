"""The explanation of a step as HTML: a diagram of small nets, and a table for each node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from .._tables import unknown_name
from .explain_text import added, numbers, placed, reduced, title

if TYPE_CHECKING:
    from .._arrays import Array
    from .explain import LossRecord, NodeRecord, StepExplanation

_WORDS = {
    "en": {
        "heading": "One training step of {net}",
        "facts": "rows: {rows}, {dtype}, loss: {loss}",
        "legend": "v0, v1, … are the outputs of the nodes; dv is the derivative of the loss with respect to v.",
        "picture": "The net with row 0 of the data: values in the circles, their gradients below, weights on the lines",
        "described": "The tables below contain the same numbers.",
        "forward": "Forward",
        "backward": "Backward",
        "name": "name",
        "layer": "layer",
        "input": "input",
        "value": "value",
        "gradient": "gradient",
        "updated": "after the step",
        "loss": "Loss",
        "update": "Update",
        "drawn": "drawn with seed {seed}",
        "replaced": "The loss uses the input of layer {layer}; the output of that layer:",
        "sum": "The gradient of v{node} is the sum of the contributions of {others}.",
        "no_update": "No update: {why}",
        "times": "times {factor}",
        "step": "Step {step} of",
        "target": "target t",
    },
    "vi": {
        "heading": "Một bước huấn luyện của {net}",
        "facts": "số dòng: {rows}, {dtype}, mất mát: {loss}",
        "legend": "v0, v1, … là đầu ra của các nút; dv là đạo hàm của hàm mất mát theo v.",
        "picture": "Mạng với dòng 0 của dữ liệu: giá trị trong hình tròn, gradient bên dưới, trọng số trên các đường nối",
        "described": "Các bảng bên dưới chứa cùng những con số này.",
        "forward": "Lan truyền thuận",
        "backward": "Lan truyền ngược",
        "name": "tên",
        "layer": "lớp",
        "input": "đầu vào",
        "value": "giá trị",
        "gradient": "gradient",
        "updated": "sau bước này",
        "loss": "Hàm mất mát",
        "update": "Cập nhật",
        "drawn": "sinh ngẫu nhiên với seed {seed}",
        "replaced": "Hàm mất mát nhận đầu vào của lớp {layer}; đầu ra của lớp đó:",
        "sum": "Gradient của v{node} là tổng các phần do {others} trả về.",
        "no_update": "Không cập nhật: {why}",
        "times": "nhân {factor}",
        "step": "Bước {step} của",
        "target": "mục tiêu t",
    },
}

_LIGHT = "--ink:#1b1f24;--paper:#fff;--soft:#f3f5f8;--line:#c3cad3;--blue:#1f5f9e;--red:#a8321f;--fill:#e4eefb"
_DARK = "--ink:#e7eaee;--paper:#16191d;--soft:#20252b;--line:#4b545f;--blue:#8dc1f5;--red:#f5a08f;--fill:#1d3348"
_STYLE = f"""
.pynn-step{{{_LIGHT};color:var(--ink);background:var(--paper);font:15px/1.45 system-ui,sans-serif;max-width:60rem}}
@media (prefers-color-scheme:dark){{.pynn-step{{{_DARK}}}}}
body[data-jp-theme-light="true"] .pynn-step{{{_LIGHT}}}body[data-jp-theme-light="false"] .pynn-step{{{_DARK}}}
.pynn-step h2{{font-size:1.3rem;margin:.2em 0}}.pynn-step h3{{font-size:1.05rem;margin:1.4em 0 .3em}}.pynn-step p{{margin:.3em 0}}
.pynn-step .wide{{overflow-x:auto}}.pynn-step .wide:focus-visible{{outline:2px solid var(--blue)}}
.pynn-step table{{border-collapse:collapse;margin:.4em 0;background:none}}
.pynn-step th,.pynn-step td{{border:1px solid var(--line);padding:.25em .6em;text-align:left;vertical-align:top;
color:var(--ink);background:none;font-weight:400}}
.pynn-step thead th{{background:var(--soft);font-weight:600}}
.pynn-step pre,.pynn-step code{{font:13px/1.4 ui-monospace,Consolas,monospace;margin:0;color:inherit;background:none;padding:0}}
.pynn-step code{{display:block;overflow-wrap:anywhere}}
.pynn-step dl{{display:grid;grid-template-columns:max-content 1fr;gap:.1em .8em;margin:.3em 0}}
.pynn-step dt{{color:var(--blue)}}.pynn-step dt.back,.pynn-step td.g{{color:var(--red)}}.pynn-step dd{{margin:0;min-width:0}}
.pynn-step svg text{{fill:var(--ink);font:11px system-ui,sans-serif;text-anchor:middle}}.pynn-step svg .g{{fill:var(--red)}}
.pynn-step svg .w{{fill:var(--blue);paint-order:stroke;stroke:var(--paper);stroke-width:3px}}
.pynn-step svg circle{{fill:var(--fill);stroke:var(--blue)}}.pynn-step svg line{{stroke:var(--line)}}
@media (max-width:34rem){{.pynn-step dl{{grid-template-columns:1fr}}}}
"""


def _words(lang: str) -> dict[str, str]:
    if lang not in _WORDS:
        raise unknown_name("lang", lang, _WORDS)
    return _WORDS[lang]


def page(e: StepExplanation, lang: str) -> str:
    """Return a self-contained page."""
    heading = escape(_words(lang)["heading"].format(net=e.net))
    frame = "body{margin:0;background:#fff}@media (prefers-color-scheme:dark){body{background:#16191d}}"
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="color-scheme" content="light dark"><title>{heading}</title><style>{frame}main{{padding:1rem}}</style></head>'
        f"<body><main>{fragment(e, lang)}</main></body></html>\n"
    )


def fragment(e: StepExplanation, lang: str) -> str:
    """Return the explanation as an element with its own style."""
    t = _words(lang)
    facts = t["facts"].format(rows=e.rows, dtype=e.dtype, loss=f"{e.loss:.6g}")
    parts = [
        f"<h2>{escape(t['heading'].format(net=e.net))}</h2>",
        f"<p>{escape(facts)}. {escape(t['legend'])}</p>",
        picture(e, t),
        *(_node(r, e, t) for r in e.nodes),
        *(_loss(loss, t) for loss in e.losses),
    ]
    if e.optimizer is not None:
        lines = [line.strip() for line in e.optimizer_formula.split(";") if line]
        why = f"<p>{escape(t['no_update'].format(why=e.note))}</p>" if e.note else ""
        named = f"<p>{escape(t['step'].format(step=e.step))}</p><code>{escape(e.optimizer)}</code>"
        parts.append(f"<section><h3>{escape(t['update'])}</h3>{named}{_codes(lines)}{why}</section>")
    return f'<div class="pynn-step" lang="{lang}"><style>{_STYLE}</style>{"".join(parts)}</div>'


def _codes(lines: Sequence[str]) -> str:
    return "".join(f"<code>{escape(line)}</code>" for line in lines)


def _table(rows: Sequence[tuple[str, Array | None, Array | None, Array | None]], t: dict[str, str], label: str, updated: bool) -> str:
    """Return a table of arrays: names, values, gradients and, on request, values after the step."""
    keys = ["name", "value", "gradient", *(["updated"] if updated else [])]
    heads = "".join(f'<th scope="col">{escape(t[key])}</th>' for key in keys)
    body = []
    for name, *arrays in rows:
        cells = [
            f'<td{" class=g" if k == 1 else ""}><pre>{escape(numbers(a, 60))}</pre></td>'
            for k, a in enumerate(arrays[: len(keys) - 1])
        ]
        body.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">{table}</div>'


def _node(r: NodeRecord, e: StepExplanation, t: dict[str, str]) -> str:
    forward = [placed(line, r) for line in r.formulas]
    backward = [added(placed(line, r), r, e.nodes) for line in r.gradient_formulas]
    formulas = "".join(
        f"<dt{mark}>{escape(t[key])}</dt><dd>{_codes(lines)}</dd>"
        for key, lines, mark in (("forward", forward, ""), ("backward", backward, " class=back"))
        if lines
    )
    rows = [
        *((f"{name}, {t['drawn'].format(seed=r.settings['seed'])}", a, None, None) for name, a in r.drawn.items()),
        *((p.name, p.value, p.gradient, p.updated) for p in r.parameters.values()),
        (f"v{r.node}", r.value, r.gradient, None),
    ]
    note = ""
    if len(r.consumers) > 1:
        note = f"<p>{escape(t['sum'].format(node=r.node, others=', '.join(f'v{k}' for k in r.consumers)))}</p>"
    has_update = any(p.updated is not None for p in r.parameters.values())
    name = title(r, t["layer"], t["input"])
    shown = _table(rows, t, name, has_update)
    return f"<section><h3>{escape(name)}</h3>{f'<dl>{formulas}</dl>' if formulas else ''}{shown}{note}</section>"


def _loss(loss: LossRecord, t: dict[str, str]) -> str:
    name = f"{t['loss']}: {loss.name}" + (f", {t['times'].format(factor=f'{loss.factor:.6g}')}" if loss.factor != 1 else "")
    lines = [f"l = {loss.formula}", reduced(loss), f"loss = {loss.value:.6g}"]
    settings = {key: value for key, value in loss.settings.items() if value is not None}
    lines += [f"{key} = {value}" for key, value in settings.items() if not isinstance(value, np.ndarray)]
    back = [f"dl/dx = {loss.gradient_formula}"] if loss.gradient_formula is not None else []
    formulas = f"<dt>{escape(t['forward'])}</dt><dd>{_codes(lines)}</dd>"
    formulas += f"<dt class=back>{escape(t['backward'])}</dt><dd>{_codes(back)}</dd>" if back else ""
    rows: list[tuple[str, Array | None, Array | None, Array | None]] = []
    rows += [(key, value, None, None) for key, value in settings.items() if isinstance(value, np.ndarray)]
    rows += [(t["target"], loss.target, None, None)] if loss.target is not None else []
    rows += [(f"dv{node}", None, g, None) for node, g in zip(loss.nodes, loss.gradients, strict=True)]
    out = ""
    if loss.output is not None:
        out = f"<p>{escape(t['replaced'].format(layer=loss.output_layer))}</p><pre>{escape(numbers(loss.output, 60))}</pre>"
    return f"<section><h3>{escape(name)}</h3><dl>{formulas}</dl>{_table(rows, t, name, False)}{out}</section>"


# ---- the picture -------------------------------------------------------------------------------------------------------

_MOST_NUMBERS, _MOST_COLUMNS, _MOST_WEIGHTS = 8, 12, 8
_STEP_X, _STEP_Y, _RADIUS = 150, 68, 22


def picture(e: StepExplanation, t: dict[str, str]) -> str:
    """Return an SVG of the net with the numbers of row 0, or an empty string if the net is too large."""
    depth: list[int] = []
    for r in e.nodes:
        depth.append(1 + max((depth[k] for k in r.inputs), default=-1))
    if max(depth) >= _MOST_COLUMNS or any(r.value[0].size > _MOST_NUMBERS for r in e.nodes):
        return ""
    columns = [[r for r, d in zip(e.nodes, depth, strict=True) if d == k] for k in range(max(depth) + 1)]
    tallest = max(sum(r.value[0].size + 1 for r in column) for column in columns)
    places: dict[int, list[tuple[float, float]]] = {}
    heads: list[str] = []
    for k, column in enumerate(columns):
        y = (tallest - sum(r.value[0].size + 1 for r in column)) * _STEP_Y / 2 + 30
        for r in column:
            x = k * _STEP_X + 60.0
            label = r.layer if r.kind != "input" else t["input"]
            heads.append(f'<text x="{x:g}" y="{y:g}">v{r.node}: {escape(label)}</text>')
            heads.append(f'<text x="{x:g}" y="{y + 13:g}">{escape(r.cls[:16])}</text>')
            places[r.node] = [(x, y + 42 + j * _STEP_Y) for j in range(r.value[0].size)]
            y += (r.value[0].size + 1) * _STEP_Y
    width, height = (len(columns) - 1) * _STEP_X + 120, tallest * _STEP_Y - 10
    lines = [line for r in e.nodes for line in _lines(r, places)]
    circles = [circle for r in e.nodes for circle in _circles(r, places[r.node])]
    what = f"<title>{escape(t['picture'])}</title><desc>{escape(t['described'])}</desc>"
    drawn = f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escape(t["picture"])}">'
    caption = f"<p>{escape(t['picture'])}.</p>"
    inside = "".join([what, *lines, *circles, *heads])
    return f'<div class="wide" tabindex="0" role="region" aria-label="SVG">{drawn}{inside}</svg></div>{caption}'


def _lines(r: NodeRecord, places: dict[int, list[tuple[float, float]]]) -> Iterator[str]:
    """Draw the connections of a node: all pairs for a weight matrix, otherwise element by element if the sizes agree."""
    own = places[r.node]
    for node in r.inputs:
        read = places[node]
        matrix = next((p.value for p in r.parameters.values() if p.value.shape == (len(own), len(read))), None)
        one_to_one = matrix is None and len(own) == len(read)
        for i, (x2, y2) in enumerate(own):
            for j, (x1, y1) in enumerate(read):
                if one_to_one and i != j:
                    continue
                weight = None if matrix is None else float(matrix[i, j])
                bold = 1.0 if weight is None else min(0.6 + 1.6 * abs(weight), 4.0)
                ends = f'x1="{x1 + _RADIUS:g}" y1="{y1:g}" x2="{x2 - _RADIUS:g}" y2="{y2:g}"'
                yield f'<line {ends} stroke-width="{bold:.2g}"/>'
                if weight is not None and matrix is not None and matrix.size <= _MOST_WEIGHTS:
                    share = 0.5 if i == j else 0.3
                    x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1) - 4 * (i == j)
                    yield f'<text class="w" x="{x:.1f}" y="{y:.1f}">{_short(weight)}</text>'


def _circles(r: NodeRecord, places: list[tuple[float, float]]) -> Iterator[str]:
    gradient = None if r.gradient is None else r.gradient[0].ravel()
    for j, (x, y) in enumerate(places):
        yield f'<circle cx="{x:g}" cy="{y:g}" r="{_RADIUS}"/><text x="{x:g}" y="{y + 4:g}">{_short(r.value[0].ravel()[j])}</text>'
        if gradient is not None:
            yield f'<text class="g" x="{x:g}" y="{y + _RADIUS + 11:g}">{_short(gradient[j])}</text>'


def _short(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e-")

"""A report as HTML: a fragment for notebooks, and a self-contained page."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from statistics import fmean
from typing import TYPE_CHECKING

from ._colors import ON_BLACK, ON_WHITE, style
from ._diagnosis import LEVELS
from ._html_words import html_words
from ._protocol import origin_sentences
from ._record import Entry
from ._svg import Chart, dots
from ._words import differences_table

if TYPE_CHECKING:
    from ._report import Report

_LIGHT = "".join(f"--c{i}:{one};" for i, one in enumerate(ON_WHITE)) + "--fg:#222;--bg:#fff;--dim:#595959;--rule:#d4d4d4;--box:#f5f5f5"
_DARK = "".join(f"--c{i}:{one};" for i, one in enumerate(ON_BLACK)) + "--fg:#e4e4e4;--bg:#111;--dim:#a8a8a8;--rule:#3a3a3a;--box:#1c1c1c"
_DARK_NOTEBOOKS = "[data-jp-theme-light=false] .pynn-lab,.vscode-dark .pynn-lab,html[theme=dark] .pynn-lab"
_STYLE = f"""
.pynn-lab{{{_LIGHT};color:var(--fg);font:15px/1.5 system-ui,sans-serif;max-width:72rem}}
@media (prefers-color-scheme:dark){{.pynn-lab{{{_DARK}}}}}
{_DARK_NOTEBOOKS}{{{_DARK}}}
[data-jp-theme-light=true] .pynn-lab,.vscode-light .pynn-lab{{{_LIGHT}}}
.pynn-lab h1{{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}}
.pynn-lab h2{{font-size:1.15rem;margin:2rem 0 .5rem}}
.pynn-lab h3{{font-size:1rem;margin:1rem 0 .25rem}}
.pynn-lab p{{margin:.35rem 0;max-width:60rem}}
.pynn-lab .lead{{font-weight:600}}
.pynn-lab .dim{{color:var(--dim)}}
.pynn-lab .wide{{overflow-x:auto}}
.pynn-lab .wide:focus-visible,.pynn-lab summary:focus-visible{{outline:2px solid var(--c0);outline-offset:2px}}
.pynn-lab table{{border-collapse:collapse;color:inherit;background:none;font-size:inherit;margin:.5rem 0}}
.pynn-lab caption{{text-align:left;color:var(--dim);padding:.25rem 0}}
.pynn-lab tr,.pynn-lab tr:nth-child(even),.pynn-lab tr:hover{{background:none}}
.pynn-lab td,.pynn-lab th{{padding:.3rem .55rem;text-align:right;border:0;border-bottom:1px solid var(--rule);
white-space:nowrap;font-variant-numeric:tabular-nums;color:inherit}}
.pynn-lab thead th{{vertical-align:bottom;font-weight:600}}
.pynn-lab th:first-child,.pynn-lab td:first-child{{text-align:left;padding-left:0}}
.pynn-lab .name{{color:var(--c);font-weight:600}}
.pynn-lab .dots{{width:210px;height:22px;display:block}}
.pynn-lab .grids{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1rem 2rem}}
.pynn-lab figure{{margin:0;max-width:36rem}}
.pynn-lab figcaption{{color:var(--dim);font-size:.9rem}}
.pynn-lab .chart{{width:100%;height:auto;display:block}}
.pynn-lab .grid{{stroke:var(--rule);stroke-width:1}}
.pynn-lab .tick{{fill:var(--fg);font-size:12px;font-family:inherit}}
@media (max-width:600px){{.pynn-lab .tick{{font-size:15px}}}}
.pynn-lab .end{{text-anchor:end}}.pynn-lab .middle{{text-anchor:middle}}
.pynn-lab .reference{{fill:none;stroke:var(--dim);stroke-width:1.5;stroke-dasharray:4 4}}
.pynn-lab .line{{fill:none;stroke:var(--c);stroke-width:2}}
.pynn-lab .band{{fill:var(--c);opacity:.13}}
.pynn-lab .seed{{fill:var(--fg);opacity:.35}}
.pynn-lab .sd{{stroke:var(--fg);stroke-width:2;opacity:.6}}
.pynn-lab .mean{{fill:var(--c)}}
.pynn-lab .key{{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:.5rem 0}}
.pynn-lab .key span{{display:inline-block;width:1.2em;height:.25em;background:var(--c);vertical-align:middle;margin-right:.4em}}
.pynn-lab summary{{cursor:pointer;color:var(--dim);padding:.3rem 0}}
.pynn-lab code{{background:var(--box);color:inherit;padding:.5rem .7rem;display:block;overflow-wrap:anywhere;border-radius:4px}}
"""
_FEWEST_IN_BIN = 10
"""Bins of fewer predictions, of all seeds together, are not drawn."""
_PAGE_STYLE = f"""
:root{{color-scheme:light dark}}
body{{margin:0;padding:1.5rem max(1rem,calc(50vw - 36rem));background:#fff}}
@media (prefers-color-scheme:dark){{body{{background:#111}}}}
@media print{{.pynn-lab{{{_LIGHT}}}body{{background:#fff}}}}
"""


def fragment(report: Report, lang: str = "en") -> str:
    """Return the HTML for a notebook: table, verdict, learning curves and protocol."""
    inner = f"{_table(report, lang)}{_verdict(report, lang)}{_curves(report, lang)}{_protocol(report, lang)}"
    return styled(inner, lang)


def styled(inner: str, lang: str = "en") -> str:
    """Return HTML in the style of reports, for light and dark notebooks."""
    return f'<style>{_STYLE}</style><div class="pynn-lab" lang="{lang}">{inner}</div>'


def page(report: Report, lang: str = "en") -> str:
    """Return a self-contained page."""
    t = html_words(lang)
    title = escape(t["title"].format(what=t.get(report.protocol["what"], report.protocol["what"])))
    sections = [
        f"<h1>{title}</h1>",
        _verdict(report, lang),
        f"<h2>{t['scores']}</h2>{_table(report, lang)}",
        f"<h2>{t['curves']}</h2>{_curves(report, lang)}",
        f"<h2>{t['layers']}</h2>{_layers(report, lang)}",
        _inputs(report, lang),
        _calibration(report, lang),
        "" if report.verdict is None else f"<h2>{t['pairs']}</h2>{_scroll(t['pairs'], differences_table(report.verdict, lang))}",
        f"<h2>{t['protocol']}</h2>{_protocol(report, lang, open_=True)}",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
    icon = '<link rel="icon" href="data:,">'
    body = f'<main class="pynn-lab">{"".join(sections)}</main>'
    return f'<!DOCTYPE html>\n<html lang="{lang}"><head>{head}{icon}<style>{_STYLE}{_PAGE_STYLE}</style></head><body>{body}</body></html>\n'


# ---- the parts ---------------------------------------------------------------------------------------------------
def _verdict(report: Report, lang: str) -> str:
    first, *rest = report.summary(lang) or [""]
    return f'<p class="lead">{escape(first)}</p>' + "".join(f"<p>{escape(sentence)}</p>" for sentence in rest)


def _scroll(label: str, inner: str) -> str:
    """Return HTML that scrolls horizontally on narrow screens, also by keyboard."""
    return f'<div class="wide" role="region" aria-label="{escape(label)}" tabindex="0">{inner}</div>'


def _table(report: Report, lang: str) -> str:
    t = html_words(lang)
    columns = report.columns()
    keys = [*columns]
    label, score, others = keys[0], keys[1], keys[2:]
    heads = [t.get(label, label), t[f"test {report.metric}"], t["each seed"], *(_head(t, key) for key in others)]
    scores = [value for entry in report for value in entry.scores]
    spread = max((entry.deviation for entry in report), default=0.0)
    low = max(min(*scores, *(entry.score - entry.deviation for entry in report)), max(scores) - 12 * spread)
    high = max(*scores, *(entry.score + entry.deviation for entry in report))
    rows = []
    for i, entry in enumerate(report):
        each = ", ".join(map(report.format_score, entry.scores))
        picture = dots(entry.scores, entry.deviation, low, high, i, f"{entry.label}: {each}")
        cells = [columns[score][i], picture, *(columns[key][i] for key in others)]
        name = f'<th scope="row" class="name" style="{style(i)}">{escape(entry.label)}</th>'
        rows.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    base = f'<tr class="dim"><th scope="row">{t["baseline"]}</th><td>{report.format_score(report.baseline)}</td>'
    rows.append(f'{base}<td colspan="{len(heads) - 2}"></td></tr>')
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return _scroll(t["scores"], f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def _head(t: dict[str, str], key: str) -> str:
    """Return the heading of a column of the text table."""
    return t.get(f"{key} axis") or t.get(key) or key.replace(" % in", t["% in"])


def _key(report: Report) -> str:
    names = "".join(f'<li style="{style(i)}"><span></span>{escape(entry.label)}</li>' for i, entry in enumerate(report))
    return f'<ul class="key">{names}</ul>'


def _figure(chart: Chart, caption: str) -> str:
    drawn = chart.svg()
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>" if drawn else ""


def _curves(report: Report, lang: str) -> str:
    t = html_words(lang)
    figures = []
    for name in dict.fromkeys((report.curve_name, "val_loss", "loss", "dead", "saturated")):
        last = [(entry.label, values[-1][0]) for entry in report if (values := entry.curve(name))]
        label, is_log = t.get(f"{name} units", t.get(name, name)), name.endswith("loss")
        show = _number if is_log else _percent
        told = ", ".join(f"{entry} {show(value)}" for entry, value in last)
        chart = Chart(f"{label}. {t['last epoch']}: {told}", t["epoch"], label, show, logarithmic=is_log)
        for i, entry in enumerate(report):
            values = entry.curve(name)
            band = [(float(k), low, high) for k, (_, low, high) in enumerate(values, 1)]
            chart.add(i, [(float(k), mean) for k, (mean, _, _) in enumerate(values, 1)], band)
        figures.append(_figure(chart, t["band"].format(name=label, seeds=len(report.baselines))))
    return f'{_key(report)}<div class="grids">{"".join(figures)}</div>'


def _layers(report: Report, lang: str) -> str:
    t = html_words(lang)
    figures = [
        _by_layer(report, lang, "gradient", lambda row: row.gradient, _number, logarithmic=True, first=True),
        _by_layer(report, lang, "dead", lambda row: row.dead, _percent),
        _by_layer(report, lang, "saturated", lambda row: row.saturated, _percent),
        _by_layer(report, lang, "spread", lambda row: row.spread, _number, logarithmic=True),
    ]
    tables = "".join(_layer_table(entry, i, lang) for i, entry in enumerate(report))
    details = f"<details><summary>{t['layer tables']}</summary>{tables}</details>"
    return f'{_key(report)}<div class="grids">{"".join(figures)}</div>{details}'


def _by_layer(
    report: Report,
    lang: str,
    key: str,
    get: Callable[..., float],
    show: Callable[[float], str],
    *,
    logarithmic: bool = False,
    first: bool = False,
) -> str:
    t = html_words(lang)
    drawn = []
    for i, entry in enumerate(report):
        values = [fmean(map(get, rows)) for rows in entry.layers(first)]
        known = [value for value in values if not math.isnan(value)]
        drawn.append((i, entry.label, known))
    told = "; ".join(f"{label}: {', '.join(map(show, values))}" for _, label, values in drawn)
    chart = Chart(f"{t[key]}. {told}", t["layer"], t[f"{key} axis"], show, logarithmic=logarithmic)
    for i, _, values in drawn:
        chart.add(i, [(float(k), value) for k, value in enumerate(values, 1)])
    return _figure(chart, t[key])


def _inputs(report: Report, lang: str) -> str:
    """Return the inputs of the activations: a chart for each entry, with the same vertical axis."""
    t = html_words(lang)
    known = [(i, entry.label, entry.input_quantiles()) for i, entry in enumerate(report)]
    known = [(i, label, layers) for i, label, layers in known if layers and not math.isnan(layers[0][0])]
    if not known:
        return ""
    lowest, highest = (
        end(end(layer[1], layer[-2]) for _, _, layers in known for layer in layers if not math.isnan(layer[0])) for end in (min, max)
    )
    figures = []
    for i, label, layers in known:
        middle = len(LEVELS) // 2
        told = "; ".join(f"{_number(q[1])}, {_number(q[2])}, {_number(q[middle])}, {_number(q[-3])}, {_number(q[-2])}" for q in layers)
        chart = Chart(f"{label}. {t['inputs levels']}: {told}", t["layer"], t["input"], _number)
        chart.values = lowest, highest
        chart.add(i, [], [(float(k), q[1], q[-2]) for k, q in enumerate(layers, 1)])
        chart.add(i, [(float(k), q[middle]) for k, q in enumerate(layers, 1)], [(float(k), q[2], q[-3]) for k, q in enumerate(layers, 1)])
        drawn = chart.svg()
        figures.append(f'<figure><figcaption class="name" style="{style(i)}">{escape(label)}</figcaption>{drawn}</figure>')
    return f'<h2>{t["inputs"]}</h2><p class="dim">{t["inputs caption"]}</p><div class="grids">{"".join(figures)}</div>'


def _calibration(report: Report, lang: str) -> str:
    """Return the reliability curves of all entries, over all seeds, as a chart."""
    t = html_words(lang)
    known = [(i, entry, one) for i, entry in enumerate(report) if (one := entry.calibration) is not None]
    if not known:
        return ""
    told = ", ".join(f"{entry.label} {_percent(entry.calibration_error)}" for _, entry, _ in known)
    chart = Chart(f"{t['calibration']}. {t['calibration error']}: {told}", t["confidence"], t["accuracy"], _percent, ends=(0.0, 100.0))
    chart.reference = (0.0, 0.0), (100.0, 1.0)
    for i, _, one in known:
        bins = zip(one.counts, one.confidence, one.accuracy, strict=True)
        chart.add(i, [(100 * confidence, accuracy) for n, confidence, accuracy in bins if n >= _FEWEST_IN_BIN])
    caption = f"{t['calibration caption']} {t['calibration error']}: {told}."
    return f'<h2>{t["calibration"]}</h2>{_key(report)}<div class="grids">{_figure(chart, caption)}</div>'


def _layer_table(entry: Entry, index: int, lang: str) -> str:
    t = html_words(lang)
    heads = "".join(f'<th scope="col">{escape(t[key])}</th>' for key in ("layer", "class", "dead axis", "saturated axis"))
    heads += "".join(f'<th scope="col">{escape(t[key])}</th>' for key in ("mean", "spread axis", "gradient axis"))
    rows = []
    for each in entry.layers():
        numbers = [fmean(getattr(row, name) for row in each) for name in ("dead", "saturated", "mean", "spread", "gradient")]
        shares = [_percent(value) if each[0].units else "-" for value in numbers[:2]]
        cells = [escape(each[0].kind), *shares, *map(_number, numbers[2:])]
        name = f'<th scope="row">{escape(each[0].layer)}</th>'
        rows.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    title = f'<h3 class="name" style="{style(index)}">{escape(entry.label)}</h3>'
    return title + _scroll(entry.label, f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def _protocol(report: Report, lang: str, open_: bool = False) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in report.protocol_lines(lang))
    versions, _ = origin_sentences(report.protocol, lang)
    inner = f'{lines}<p style="overflow-wrap:anywhere">{escape(versions)}</p><code>{escape(report.protocol["call"])}</code>'
    return inner if open_ else f"<details><summary>{html_words(lang)['protocol']}</summary>{inner}</details>"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.3g}%"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"

"""Tables in notebooks: text on the left, numbers on the right, in the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """<style>
.pynn-wide{overflow-x:auto}
.pynn-table{border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit}
.pynn-table th,.pynn-table td{text-align:left!important;padding:.15em .8em .15em 0;vertical-align:top;background:none;white-space:nowrap}
.pynn-table thead th{border-bottom:1px solid currentColor}
.pynn-table .n{text-align:right!important}
.pynn-table .frozen{opacity:.65}
</style>"""


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int, frozen: Sequence[bool] = ()) -> str:
    """Return a table of cells.

    Parameters
    ----------
    head, rows : sequence of str, iterable of those
        The cells.
    texts : int
        How many columns hold text; the others hold numbers.
    frozen : sequence of bool
        Which rows are dimmed; default: none.
    """

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{' class=n' if k >= texts else ''}>{escape(cell)}</{tag}>" for k, cell in enumerate(cells))

    listed = [*rows]
    dim = [*frozen] or [False] * len(listed)
    body = "".join(f"<tr{' class=frozen' if is_dim else ''}>{line(row, 'td')}</tr>" for row, is_dim in zip(listed, dim, strict=True))
    table = f'<table class="pynn-table"><thead><tr>{line(head, "th")}</tr></thead><tbody>{body}</tbody></table>'
    return f'{_STYLE}<div class="pynn-wide">{table}</div>'

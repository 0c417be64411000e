"""Colours of the entries of a report, which are distinguishable with red-green colour blindness."""

from __future__ import annotations

ON_WHITE = ("#3B6A9E", "#C2334A", "#1F7A2E", "#8E2A63", "#8A6400", "#00708C", "#5A5A5A")
ON_BLACK = ("#7FB0E6", "#FF8A98", "#6CCB7B", "#E58CC0", "#E0BE4A", "#66CCEE", "#BBBBBB")
"""Based on Paul Tol's bright scheme. Each has a contrast of at least 4.5 to its background, so that it can be used for text."""


def color(i: int) -> str:
    """Return the colour of the i-th entry on white."""
    return ON_WHITE[i % len(ON_WHITE)]


def style(i: int) -> str:
    """Return the CSS that gives an element the colour of the i-th entry, ``var(--c)``."""
    return f"--c:var(--c{i % len(ON_WHITE)})"

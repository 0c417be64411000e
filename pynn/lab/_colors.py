"""Colours of the entries of a report, told apart by readers who confuse red and green."""

from __future__ import annotations

COLORS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#B8860B", "#0088AA", "#666666")
"""Paul Tol's bright scheme, darkened where text of that colour would be too faint on white."""


def color(i: int) -> str:
    """Return the colour of the i-th entry."""
    return COLORS[i % len(COLORS)]

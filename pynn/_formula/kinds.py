"""Formulas of layer kinds: text with settings in braces, see ``layers.h``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def filled(text: str, settings: Mapping[str, Any], inputs: int = 1) -> list[str]:
    """Return the lines of a layer kind's formula for some settings, see ``layers.h``.

    Examples
    --------
    >>> from pynn._formula.kinds import filled
    >>> filled("y = x @ weight.T{bias: + bias}; p = {p}", {"bias": True, "p": 0.5})
    ['y = x @ weight.T + bias', 'p = 0.5']
    """
    names = ["x"] if inputs == 1 else [f"x{i}" for i in range(inputs)]
    found, end = _fill(text, 0, {**settings, "inputs": names, "dinputs": [f"d{name}" for name in names]})
    assert end == len(text), text
    return [line.strip() for line in found.split(";")]


def _fill(text: str, at: int, settings: Mapping[str, Any]) -> tuple[str, int]:
    """Fill the text from ``at`` to its closing brace or the end. Return the result and the position where it ends."""
    found = ""
    while at < len(text) and text[at] != "}":
        if text[at] != "{":
            found += text[at]
            at += 1
            continue
        head = re.match(r"\{(!?)(\w+)(?:=(\w+))?(:?)", text[at:])
        assert head is not None, text
        negated, name, wanted, has_text = head.groups()
        inside, at = _fill(text, at + head.end(), settings)
        at += 1
        value = settings[name]
        if isinstance(value, list):
            found += inside.join(value)
        elif has_text:
            found += inside if (value == wanted if wanted else bool(value)) != bool(negated) else ""
        else:
            found += f"{value:.6g}" if isinstance(value, float) else str(value)
    return found, at

"""Find the row of the activation table to which a formula is equal."""
from __future__ import annotations

from collections.abc import Mapping

from .nodes import Node


def recognised(root: Node, values: Mapping[str, float]) -> tuple[str, tuple[float, ...]] | None:
    return None

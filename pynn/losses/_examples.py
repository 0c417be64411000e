"""Example arguments of losses, for their documentation and for checks of their gradients."""

from collections.abc import Mapping
from typing import Any

_EXAMPLES = {
    "kind b": "[[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]",
    "kind w": "[[0.2, 0.9]], [[0.0, 1.0]]",
    "kind s": "[[-1.0, -0.5], [-0.7, -0.7]], [1], 2, 1",
    "target r": "[0.5, 2.0], [1.0, 0.0]",
    "target a": "[-1.2, -0.4], [0.5, 0.5]",
    "target u": "[0.2, 0.9], [0.0, 1.0]",
    "target s": "[0.5, 2.0], [1.0, -1.0]",
    "target i": "[[2.0, 1.5, 0.0]], [0]",
    "target c": "[[-0.4, -1.4, -2.4]], [0]",
    "target p": "[[2.0, 1.0, 0.0]], [0]",
    "target m": "[[2.0, 1.5, 0.0]], [[0, -1, -1]]",
    "target n": "[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]",
}


def example_arguments(row: Mapping[str, Any]) -> str:
    """Return example arguments as source text: those of the row, or else of its kind or its target."""
    found = (row["example"], _EXAMPLES.get(f"kind {row['kind']}"), _EXAMPLES.get(f"target {row['target']}"))
    return next(text for text in found if text)

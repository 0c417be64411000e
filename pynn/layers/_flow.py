"""The order in which the layers of a net run, for readers of files that list layers in another order."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._base import Layer


class Flow:
    """A graph of the uses of a net's leaf layers; each use follows the uses that compute its inputs."""

    def __init__(self) -> None:
        self._uses: list[tuple[int, list[int]]] = []

    def add(self, layer: Layer, inputs: Sequence[int]) -> tuple[int, ...]:
        """Add a use of a layer after ``inputs``, and return it as an input for later uses."""
        number = len(self._uses)
        self._uses.append((id(layer), []))
        for use in inputs:
            self._uses[use][1].append(number)
        return (number,)

    def sources(self) -> list[tuple[int, list[int]]]:
        """Return for each use in order the id of its layer, and the numbers of the uses that compute its inputs."""
        found: list[tuple[int, list[int]]] = [(layer, []) for layer, _ in self._uses]
        for number, (_, consumers) in enumerate(self._uses):
            for use in consumers:
                found[use][1].append(number)
        return found

    def depths(self, counted: Container[int] | None) -> dict[int, int]:
        """Return for each layer's id the length of the longest path from the layer to an output.

        If ``counted`` is given, only layers with these ids count towards the length.
        """
        depths = [0] * len(self._uses)
        found: dict[int, int] = {}
        for number in reversed(range(len(self._uses))):
            layer, consumers = self._uses[number]
            depths[number] = max((depths[use] for use in consumers), default=0) + (counted is None or layer in counted)
            found[layer] = max(found.get(layer, 0), depths[number])
        return found

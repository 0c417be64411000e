"""Compiled formulas: programs of the core with the functions that they compute, each compiled once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any

from . import _core
from ._arrays import Array
from .activations import activations


class Compiled:
    """A formula for certain parameters.

    Attributes
    ----------
    text : str
        The formula as it was given.
    row : (str, tuple of float) or None
        The row of the table of activations that equals the formula, with its parameters.
    """

    def __init__(self, program: Any, text: str) -> None:
        self.text = text
        self.row: tuple[str, tuple[float, ...]] | None = program.row
        self._program = program

    @cached_property
    def core(self) -> _core.Formula:
        """The program of the core."""
        program = self._program
        inputs = len(program.inputs)
        return _core.Formula(program.code, program.outputs, inputs, len(program.parameters))

    def value(self, x: Array, parameters: Sequence[Any], out: Array | None = None) -> Any:
        """Return the values at x."""
        function, arguments = (self.core.ufunc, parameters) if self.row is None else self._of_row("ufunc")
        return function(x, *arguments, out=out)

    def slope(self, x: Array, parameters: Sequence[Any], out: Array | None = None) -> Any:
        """Return the derivatives with respect to x at x."""
        function, arguments = (self.core.grad, parameters) if self.row is None else self._of_row("grad")
        return function(x, *arguments, out=out)

    def _of_row(self, kind: str) -> tuple[Any, Sequence[Any]]:
        assert self.row is not None
        name, numbers = self.row
        return activations[name][kind], numbers


@lru_cache(maxsize=512)
def compiled(
    text: str, inputs: tuple[str, ...], names: tuple[str, ...], constants: tuple[tuple[str, float], ...], learn: tuple[str, ...]
) -> Compiled:
    """Return a compiled formula; the same object for equal arguments.

    Parameters
    ----------
    text : str
        The formula.
    inputs : tuple of str
        The names of its inputs.
    names : tuple of str
        The names of its parameters in order.
    constants : tuple of (str, float)
        The values of those that are not learnt.
    learn : tuple of str
        The names of those that are learnt.
    """
    from ._formula import compile_formula  # takes time to load, and few nets need it

    values = dict(constants)
    return Compiled(compile_formula(text, inputs, {name: values.get(name, 1.0) for name in names}, learn), text)


def check_names(names: Iterable[str], reserved: Collection[str]) -> None:
    """Raise ValueError if a parameter of a formula has a reserved name."""
    for name in names:
        if name.startswith("_") or name in reserved:
            raise ValueError(f"{name}: this name is an attribute or an argument; rename the parameter of the formula")


def is_formula(text: str) -> bool:
    """Return whether a text can be no name, which consists of letters, digits and separators, but a formula."""
    return not text.replace("-", "_").replace(" ", "_").isidentifier()

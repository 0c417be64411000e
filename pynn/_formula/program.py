"""Compile formulas to programs of the core: a list of instructions in which each defines one value."""

from __future__ import annotations

import functools
import keyword
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .derivative import Slope
from .evaluate import constant, constant_or_none
from .inline import inlined
from .nodes import BOOLEAN, Node, node, order, tree_size
from .parser import read
from .recognise import recognised
from .stable import stable
from .syntax import FormulaError, near
from .table import kernels, reserved
from .text import written

Instruction = tuple[Any, ...]
MAX_INSTRUCTIONS, _SHOWN = 4000, 2000
_PRODUCTS = 8
"""The largest exponent for which a power is a product of squares; beyond it, its rounding errors exceed those of the power function."""
_OPS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne",
    "&": "and", "|": "or", "if": "select",
}  # fmt: skip
"""The operations of the core whose nodes have another name."""


@dataclass(frozen=True)
class Program:
    """A compiled formula.

    Attributes
    ----------
    text : str
        The formula in its normal form, from which the same program is compiled.
    inputs : tuple of str
        The names of the inputs.
    parameters : dict
        The value of each parameter.
    learn : tuple of str
        The parameters that are learnt.
    code : tuple of tuple
        The instructions: an operation, and its operands.
    outputs : tuple of int or None
        The instructions that compute the value, its derivative with respect to each input, and that with respect to each parameter.
        None for the derivatives with respect to targets of losses, and to parameters that are not learnt.
    row : tuple or None
        ``(name, parameters)`` of the row of the activation table to which the formula is equal for these values of its parameters, if
        there is one. Its kernels are then the program, which no longer reads the parameters.
    simplified : str
        The formula as it is computed, unless that is very long.
    """

    text: str
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    learn: tuple[str, ...]
    code: tuple[Instruction, ...] = field(repr=False)
    outputs: tuple[int | None, ...] = field(repr=False)
    row: tuple[str, tuple[float, ...]] | None
    simplified: str = field(repr=False)


def compile_formula(
    text: str,
    inputs: Sequence[str] = ("x",),
    parameters: Mapping[str, Any] | None = None,
    learn: Iterable[str] = (),
) -> Program:
    """Compile a formula with its derivatives.

    Parameters
    ----------
    text : str
        The formula.
    inputs : sequence of str
        The names of the inputs: ``("x",)``, or ``("p", "t")`` for losses, which are differentiated with respect to the first.
    parameters : mapping of str to number or array
        The value of each parameter: a number, or one number per channel.
    learn : iterable of str
        The parameters that are learnt, for which derivatives are computed.

    Raises
    ------
    FormulaError
        If the text is not a formula of these names; the message shows the place.
    TypeError
        If it is not a str.

    Examples
    --------
    >>> from pynn._formula import compile_formula
    >>> program = compile_formula("x * sigmoid(a*x)", parameters={"a": 1.0}, learn=["a"])
    >>> program.text, program.outputs
    ('x * sigmoid(a * x)', (4, 8, 10))
    >>> compile_formula("max(0, x)").row
    ('relu', ())
    """
    if not isinstance(text, str):
        raise TypeError(f"formula: expected a str, got {type(text).__name__}")
    inputs, learn, values = tuple(inputs), tuple(learn), dict(parameters or {})
    _check_names(text, inputs, values, learn)
    shared = _compiled(text, inputs, tuple(values), frozenset(learn))
    numbers = {name: float(value) for name, value in values.items() if np.ndim(value) == 0 and name not in learn}
    row = recognised(shared.root, numbers) if inputs == ("x",) and len(numbers) == len(values) else None
    code, outputs = (shared.code, shared.outputs) if row is None else _kernel(*row, len(values))
    return Program(shared.text, inputs, values, learn, code, outputs, row, shared.simplified)


def _kernel(name: str, numbers: tuple[float, ...], parameters: int) -> tuple[tuple[Instruction, ...], tuple[int | None, ...]]:
    """Return the instructions and outputs of a program that runs the kernels of a row."""
    code = (("input", 0), ("activation", name, 0, *numbers), ("derivative", name, 0, *numbers))
    return code, (1, 2, *[None] * parameters)


def _check_names(text: str, inputs: tuple[str, ...], values: Mapping[str, Any], learn: tuple[str, ...]) -> None:
    taken = reserved()
    for name in values:
        if not isinstance(name, str) or not re.fullmatch("[A-Za-z_][A-Za-z_0-9]*", name) or keyword.iskeyword(name):
            raise FormulaError(f"parameter {str(name)[:40]!r}: a name consists of ASCII letters, digits and _, and is no keyword of Python")
        if name in taken or name in inputs:
            what = "an input" if name in inputs else "a constant" if name in ("pi", "e") else "a function"
            raise FormulaError(f"parameter {name!r}: this name is taken by {what} of the language; choose another name")
        value = values[name]
        if isinstance(value, (bool, str)) or not np.issubdtype(np.asarray(value).dtype, np.number) or np.iscomplexobj(value):
            raise FormulaError(f"parameter {name!r}: expected a number or an array of numbers, got {type(value).__name__}")
        if not np.isfinite(value).all():
            raise FormulaError(f"parameter {name!r}: expected finite numbers, got {value!r}")
    for name in learn:
        if name not in values:
            known = f"; parameters: {', '.join(values)}" if values else "; it has no parameters"
            raise FormulaError(f"learn: the formula has no parameter {str(name)[:40]!r}{near(str(name), values) or known}")
    if len(set(learn)) < len(learn):
        raise FormulaError(f"learn: a parameter occurs twice in {learn}")


@dataclass(frozen=True)
class _Compiled:
    """The part of a program that does not depend on the values of parameters."""

    text: str
    root: Node
    simplified: str
    code: tuple[Instruction, ...]
    outputs: tuple[int | None, ...]


@functools.lru_cache(256)
def _compiled(text: str, inputs: tuple[str, ...], parameters: tuple[str, ...], learn: frozenset[str]) -> _Compiled:
    root = read(text, parameters, inputs)
    _check_use(text, root, inputs, parameters)
    value = stable(inlined(root, everything=False))
    sources = [node("input", name) if i == 0 else None for i, name in enumerate(inputs)]
    sources += [node("parameter", name) if name in learn else None for name in parameters]
    slopes = [None if source is None else stable(Slope(source, kernels())(value)) for source in sources]
    code = _Code(inputs, parameters)
    outputs = [None if n is None else code.output(n, text) for n in (value, *slopes)]
    computed = stable(root)
    simplified = written(computed if tree_size(computed) <= _SHOWN else root)
    return _Compiled(written(root), value, simplified, tuple(code.instructions), tuple(outputs))


def _check_use(text: str, root: Node, inputs: tuple[str, ...], parameters: tuple[str, ...]) -> None:
    if inputs[0] not in root.sources:
        raise FormulaError(f"the formula does not depend on {inputs[0]}", text)
    for name in parameters:
        if name not in root.sources:
            raise FormulaError(f"parameter {name!r} does not occur in the formula", text)


def code_of(value: Node, slope: Node | None, parameters: tuple[str, ...]) -> tuple[tuple[Instruction, ...], tuple[int | None, ...]]:
    """Return the instructions and outputs of a function of x exactly as it is given, with no part replaced."""
    code = _Code(("x",), parameters)
    outputs = [None if n is None else code.output(inlined(n, everything=False), "") for n in (value, slope)]
    return tuple(code.instructions), (*outputs, *[None] * len(parameters))


class _Code:
    """The instructions of a program."""

    def __init__(self, inputs: tuple[str, ...], parameters: tuple[str, ...]) -> None:
        self.inputs, self.parameters = inputs, parameters
        self.instructions: list[Instruction] = []
        self.indices: dict[Instruction, int] = {}
        self.known: dict[Node, int] = {}
        self.carries: dict[Node, frozenset[str]] = {}
        self.constants: dict[Node, float | None] = {}

    def output(self, root: Node, text: str) -> int:
        """Return the instruction that computes a graph, and NaN where an input is NaN."""
        for n in order(root):
            if n not in self.known and n.op not in BOOLEAN:
                self.carries[n] = self.carried(n)
        found = self.value(root, text)
        for k, name in enumerate(self.inputs):
            if name not in self.carries[root]:
                x = self.add("input", k)
                found = self.add("select", self.add("eq", x, x), found, x)
        return found

    def value(self, root: Node, text: str) -> int:
        left = [root]
        while left:
            n = left[-1]
            needed = [] if self.constant(n) is not None else [a for a in self.needed(n) if a not in self.known]
            left += needed
            if not needed:
                self.known[left.pop()] = self.compute(n)
            if len(self.instructions) > MAX_INSTRUCTIONS:
                raise FormulaError("the formula and its derivatives are too large", text)
        return self.known[root]

    def constant(self, n: Node) -> float | None:
        """Return the value of a constant; None for other nodes, and for constants such as 1 / 0, which the program computes."""
        if n.sources or n.op in BOOLEAN:
            return None
        if n not in self.constants:
            self.constants[n] = constant_or_none(n)
        return self.constants[n]

    def needed(self, n: Node) -> list[Node]:
        if n.op in ("row", "slope"):
            return [n.args[1]]
        if n.op == "pow" and self.constant(n.args[1]) in (0.5, -0.5, 1.5):
            return [n.args[0]]
        return [*n.operands()]

    def add(self, *instruction: Any) -> int:
        # the sign of a zero makes a difference, so it is part of the key
        key = (*instruction, math.copysign(1, instruction[1])) if instruction[0] == "constant" else instruction
        if key not in self.indices:
            self.indices[key] = len(self.instructions)
            self.instructions.append(instruction)
        return self.indices[key]

    def compute(self, n: Node) -> int:
        if (number := self.constant(n)) is not None:
            return self.add("constant", number)
        match n.op, n.args:
            case "input", (name,):
                return self.add("input", self.inputs.index(name))
            case "parameter", (name,):
                return self.add("parameter", self.parameters.index(name))
            case "**", (a, k):
                return self.power(self.known[a], k)
            case "pow", (a, b):
                return self.real_power(a, b)
            case "call", (name, a):
                return self.add(name, self.known[a])
            case ("row" | "slope"), (name, a, *parameters):
                kind = "activation" if n.op == "row" else "derivative"
                return self.add(kind, name, self.known[a], *(float(constant(p)) for p in parameters))
        return self.add(_OPS.get(n.op, n.op), *(self.known[a] for a in n.args))

    def power(self, a: int, k: int) -> int:
        if abs(k) > _PRODUCTS:
            return self.add("pow", a, self.add("constant", float(k)))
        found, square, left = None, a, abs(k)
        while left:
            if left % 2:
                found = square if found is None else self.add("mul", found, square)
            left //= 2
            square = self.add("square", square) if left else square
        assert found is not None
        return found if k > 0 else self.add("div", self.add("constant", 1.0), found)

    def real_power(self, a: Node, b: Node) -> int:
        base, exponent = self.known[a], self.constant(b)
        if exponent == 0.5:
            return self.add("sqrt", base)
        if exponent == -0.5:
            return self.add("div", self.add("constant", 1.0), self.add("sqrt", base))
        if exponent == 1.5:
            return self.add("mul", base, self.add("sqrt", base))
        return self.add("pow", base, self.known[b])

    def carried(self, n: Node) -> frozenset[str]:
        """Return the inputs for which the value of a node is certainly NaN where they are NaN."""
        none: frozenset[str] = frozenset()
        match n.op, n.args:
            case "input", (name,):
                return frozenset({name})
            case ("parameter" | "number" | "pi" | "e"), _:
                return none
            case "if", (_, a, b):
                return self.carries[a] & self.carries[b]
            case "**", (a, k):
                return self.carries[a] if k else none
            case "pow", (a, b):  # 1**NaN and NaN**0 are 1, also where a number rounds to 1 or 0 in float32
                base, exponent = self.constant(a), self.constant(b)
                found = self.carries[a] if exponent is not None and abs(exponent) > 1e-30 else none
                return found | (self.carries[b] if base is not None and abs(base - 1) > 1e-6 else none)
            case "sign" | "copysign", _:
                return none
            case ("call" | "row"), (_, a, *_):
                return self.carries[a]
            case "slope", (_, a, *_):
                return self.carries[a]
        return none.union(*(self.carries[a] for a in n.operands()))



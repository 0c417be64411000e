r"""Nodes of formulas: operations with their operands, and constructors that leave out what changes nothing.

A formula is a graph of nodes:

=========================  =====================================================================================
op, args                   meaning
=========================  =====================================================================================
input, parameter; name     a value that is given when the formula is evaluated
number; text               a decimal number, exactly as written
pi, e                      the constants
neg, abs, sign; a          -a, the absolute value, and -1, 0 or 1
+, -, \*, /; a, b           arithmetic
\*\*; a, n                  a power with an integer exponent, which is a Python int and not a node
pow; a, b                  a power with any exponent
max, min; a, b             the larger and the smaller value
call; name, a              a function of one argument
row; name, a, parameters   an activation of the table
slope; name, a, parameters its derivative
<, <=, >, >=, ==, !=; a, b comparisons; &, | combine them
if; condition, a, b        a choice
sum; a                     the sum of a row of values, in formulas of losses
above; a, b, a', b'        whether a > b next to x, on one side of it: see ``derivative.py``
=========================  =====================================================================================
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any


class Node:
    """An operation and its operands. Equal nodes are one object, so that shared parts are computed once.

    Nodes exist as long as something refers to them: the table of known nodes holds them weakly.
    """

    __slots__ = ("__weakref__", "args", "op", "sources")

    def __init__(self, op: str, args: tuple[Any, ...]) -> None:
        self.op, self.args = op, args
        self.sources: frozenset[str] = frozenset().union(*[a.sources for a in self.operands()])
        """The names of the inputs and parameters on which the value depends."""
        if op in ("input", "parameter"):
            self.sources = frozenset(args)

    def __repr__(self) -> str:
        return f"Node{(self.op, *self.args)!r}"

    def operand(self, i: int = 0) -> Node:
        found = self.args[i]
        assert isinstance(found, Node)
        return found

    def operands(self) -> Iterator[Node]:
        """Return the operands that are nodes."""
        return (arg for arg in self.args if isinstance(arg, Node))


_known: weakref.WeakValueDictionary[tuple[Any, ...], Node] = weakref.WeakValueDictionary()
_lock = threading.RLock()  # reentrant, since a finalizer may run while it is held


def node(op: str, *args: Any) -> Node:
    """Return the node with this operation and these operands."""
    with _lock:
        found = _known.get((op, args))
        if found is None:
            found = _known[op, args] = Node(op, args)
        return found


def number(text: object) -> Node:
    return node("number", str(text))


def signed(value: float | Decimal) -> Node:
    """Return a number that may be negative."""
    text = str(int(value)) if abs(float(value)) < 1e15 and value == int(value) else str(value)
    return node("neg", number(text[1:])) if text.startswith("-") else number(text)


ZERO, ONE, TWO, PI, E, X = number(0), number(1), number(2), node("pi"), node("e"), node("input", "x")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
BOOLEAN = (*COMPARISONS, "&", "|", "above")


def neg(a: Node) -> Node:
    if a is ZERO:
        return ZERO
    if a.op == "neg":
        return a.operand()
    first = a
    while first.op in ("*", "/"):
        first = first.operand()
    return _without_sign(a) if first.op == "neg" else node("neg", a)


def _without_sign(a: Node) -> Node:
    """Return a product whose first factor loses its sign, which changes no rounding."""
    factors = []
    while a.op in ("*", "/"):
        factors.append(a)
        a = a.operand()
    found = a.operand()
    for factor in reversed(factors):
        found = node(factor.op, found, factor.operand(1))
    return found


def add(a: Node, b: Node) -> Node:
    return b if a is ZERO else a if b is ZERO else node("-", a, b.args[0]) if b.op == "neg" else node("+", a, b)


def mul(a: Node, b: Node) -> Node:
    if ZERO in (a, b):
        return ZERO
    return b if a is ONE else a if b is ONE else node("*", a, b)


def div(a: Node, b: Node) -> Node:
    return ZERO if a is ZERO else a if b is ONE else node("/", a, b)


def call(name: str, a: Node) -> Node:
    return node("call", name, a)


def power(a: Node, n: int) -> Node:
    return ONE if n == 0 else a if n == 1 else node("**", a, n)


def larger(a: Node, b: Node) -> Node:
    """Return the larger of two non-negative numbers."""
    return b if a is ZERO else a if b is ZERO or a is b else node("max", a, b)


def size(a: Node) -> Node:
    return size(a.args[0]) if a.op == "neg" else a if a in (ZERO, ONE) else node("abs", a)


def choose(condition: Node | bool, a: Node, b: Node) -> Node:
    if isinstance(condition, bool):
        return a if condition else b
    return a if a is b else node("if", condition, a, b)


def order(*roots: Node) -> list[Node]:
    """Return all nodes of graphs, operands first. Deep graphs need no deep recursion."""
    found: dict[Node, None] = {}
    for root in roots:
        left: list[tuple[Node, Iterator[Node]]] = [(root, root.operands())]
        while left:
            n, operands = left[-1]
            a = next((a for a in operands if a not in found), None)
            if a is not None:
                left.append((a, a.operands()))
            else:
                found[n] = None
                left.pop()
    return [*found]


def rebuild(root: Node, change: Callable[[Node], Node]) -> Node:
    """Return the graph in which ``change`` has replaced each node, operands first."""
    new: dict[Node, Node] = {}
    for n in order(root):
        new[n] = change(node(n.op, *[new[arg] if isinstance(arg, Node) else arg for arg in n.args]))
    return new[root]


def tree_size(root: Node) -> int:
    """Return the number of nodes of a graph that is written as text, in which shared parts occur several times."""
    sizes: dict[Node, int] = {}
    for n in order(root):
        sizes[n] = 1 + sum(sizes[a] for a in n.operands())
    return sizes[root]

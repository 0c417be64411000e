"""Graphs of formulas as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .derivative import PlainDerivative, RowDerivative
from .nodes import COMPARISONS, ONE, Node, add, div, mul, neg, node, rebuild
from .parser import read
from .syntax import FormulaError

_LEVELS = {**dict.fromkeys((*COMPARISONS, "above"), 1), "|": 2, "&": 3, "+": 4, "-": 4, "*": 5, "/": 5, "neg": 5, "**": 7, "pow": 7}
"""Precedence of operators; all other nodes are names or calls."""


def derivative(text: str, parameters: Iterable[str] = (), numbers: Iterable[str] = ()) -> str | None:
    """Return the derivative of a formula with respect to x as text; None for formulas that cannot be read or differentiated.

    The derivative of a sum over a row is taken with respect to each x of the row; ``numbers`` names the parameters that are the same
    for the whole row.

    Examples
    --------
    >>> from pynn._formula import derivative
    >>> derivative("tanh(x)"), derivative("where(x > 0, x, a * x)", ("a",)), derivative("max(x)")
    ('1 - tanh(x)**2', 'where(x > 0, 1, a)', None)
    >>> derivative("sum(t * x)", ("t",))
    't'
    """
    try:
        root = read(text, tuple(parameters), sums=True)
        found = RowDerivative(numbers)(root) if "sum(" in text else PlainDerivative()(root)
    except (FormulaError, TypeError):
        return None
    return written(rebuild(found, _tidied))


def _tidied(n: Node) -> Node:
    """Return a node in a form that is easier to read: signs in front of products, and no factor 1 / a."""
    match n.op, n.args:
        case ("*" | "/"), (a, b):
            product = mul if n.op == "*" else div
            signs = (a.op == "neg") + (b.op == "neg")
            a, b = (v.args[0] if v.op == "neg" else v for v in (a, b))
            if n.op == "*" and b.op == "/" and b.args[0] is ONE:
                product, b = div, b.args[1]
            found = _chained(a, b) if product is mul else product(a, b)
            return neg(found) if signs == 1 else found
        case "+", (a, b):
            return _chained(*((b, a) if a.op == "neg" else (a, b)), add)
        case "-", (a, b):
            return add(a, neg(b))
        case "neg", (a,):
            return neg(a)
    return n


def _chained(a: Node, b: Node, combine: Callable[[Node, Node], Node] = mul) -> Node:
    """Return a * b or a + b without parentheses around b."""
    if b.op in (("*", "/") if combine is mul else ("+", "-")) and combine(a, b).args == (a, b):
        return node(b.op, _chained(a, b.operand(), combine), b.operand(1))
    return combine(a, b)


def written(n: Node, least: int = 0) -> str:
    """Return a node as text, in parentheses if it binds less tightly than ``least``."""
    match n.op, n.args:
        case ("pi" | "e"), _:
            return n.op
        case ("number" | "parameter" | "input"), (text,):
            return str(text)
        case ("abs" | "sign" | "max" | "min" | "sum" | "copysign"), args:
            name = {"max": "maximum", "min": "minimum"}.get(n.op, n.op)
            return f"{name}({', '.join(map(written, args))})"
        case ("call" | "row"), (name, *args):
            return f"{name}({', '.join(map(written, args))})"
        case "if", args:
            return f"where({', '.join(map(written, args))})"
    level = _LEVELS[n.op]
    match n.op, n.args:
        case "neg", (a,):
            inner = written(a, level)  # -0 is read as 0
            text = f"-({inner})" if inner.startswith("0 ") else f"-{inner}"
        case "**", (a, k):
            text = f"{written(a, level + 1)}**{k}"
        case "pow", (a, b):
            text = f"{written(a, level + 1)}**{written(b, level)}"
        case "above", (a, b, *_):
            text = f"{written(b, 2)} < {written(a, 2)}" if a.op == "number" else f"{written(a, 2)} > {written(b, 2)}"
        case op, (a, b):
            left, right = op in COMPARISONS, op in COMPARISONS or b.op != "neg" or b.operand().op in ("*", "/")
            text = f"{written(a, level + left)} {op} {written(b, level + right)}"
    return f"({text})" if level < least else text

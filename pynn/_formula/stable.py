"""Replace parts of formulas by equal ones that are more accurate wherever they differ.

A formula is a function of real numbers, and a program computes it as accurately as it can. So ``log(1 + exp(x))`` is computed as
``softplus(x)``, which neither overflows for large x nor is 0 for small ones. Each rule here holds for all real numbers, and its
right side has the smaller error everywhere; where the errors of both sides are of the same size, a formula stays as it is.
``testing.check_activation`` reports each replacement.
"""

from __future__ import annotations

from collections.abc import Callable

from .evaluate import constant_or_none
from .nodes import ONE, TWO, ZERO, E, Node, add, call, choose, mul, neg, node, number, order, rebuild

Rule = Callable[[Node], Node | None]


def stable(root: Node, replaced: dict[Node, Node] | None = None) -> Node:
    """Return an equal graph that is computed more accurately; ``replaced`` collects what was replaced by what."""

    def improve(n: Node) -> Node:
        while True:
            better = next((found for rule in RULES.get(n.op, ()) if (found := rule(n)) is not None), None)
            if better is None or better is n:
                return n
            if replaced is not None:
                replaced[n] = better
            n = better

    return rebuild(root, improve)


def _is(n: Node, value: float) -> bool:
    return not n.sources and n.op in ("number", "neg", "/", "*", "call") and constant_or_none(n) == value


def _function(n: Node, name: str) -> Node | None:
    """Return the argument of a function if the node is a call of it."""
    return n.operand(1) if n.op == "call" and n.args[0] == name else None


def _terms(n: Node) -> list[tuple[int, Node]]:
    """Return the terms of a sum of two, each with its sign; at most two levels of signs are looked through."""
    if n.op in ("+", "-"):
        a, b = n.args
        return [_signed(1, a), _signed(1 if n.op == "+" else -1, b)]
    return []


def _signed(sign: int, n: Node) -> tuple[int, Node]:
    return (-sign, n.operand()) if n.op == "neg" else (sign, n)


def _one_plus(n: Node) -> Node | None:
    """Return a if the node is 1 + a."""
    terms = _terms(n)
    for (sign, one), (other_sign, a) in (terms, terms[::-1]) if terms else ():
        if sign == 1 and _is(one, 1):
            return a if other_sign == 1 else neg(a)
    return None


def _square_root(n: Node) -> Node | None:
    """Return a if the node is a**2 or a * a."""
    if n.op == "**" and n.args[1] == 2:
        return n.operand()
    return n.operand() if n.op == "*" and n.operand() is n.operand(1) else None


def _minus_square(n: Node) -> Node | None:
    """Return a if the node is -a**2 or a * -a."""
    if n.op == "neg":
        return _square_root(n.operand())
    if n.op == "*" and n.operand().op == "neg" and n.operand().operand() is n.operand(1):
        return n.operand(1)
    return n.operand() if n.op == "*" and n.operand(1).op == "neg" and n.operand(1).operand() is n.operand() else None


def _factors(n: Node) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
    """Return the operands in both orders."""
    a, b = n.args
    return (a, b), (b, a)


def _doubled(n: Node) -> Node | None:
    """Return a if the node is 2 * a."""
    if n.op == "*":
        for c, a in _factors(n):
            if _is(c, 2):
                return a
            if _is(c, -2):
                return neg(a)
    if n.op == "neg":
        inner = _doubled(n.operand())
        return None if inner is None else neg(inner)
    return None


def _log(n: Node) -> Node | None:
    a = _function(n, "log")
    if a is None:
        return None
    if (b := _one_plus(a)) is not None:
        return call("log1p", b)
    if (b := _function(a, "exp")) is not None:
        return b
    if (b := _function(a, "sigmoid")) is not None:
        return node("row", "logsigmoid", b)
    if (b := _function(a, "cosh")) is not None:
        return _log_cosh(b)
    for sign, root in _terms(a):  # log(u + sqrt(u**2 + 1)), asinh
        inside = _function(root, "sqrt")
        square = _one_plus(inside) if inside is not None and sign == 1 else None
        u = _square_root(square) if square is not None else None
        if u is not None and a.op == "+" and u in a.args:
            return call("asinh", u)
    return None


def _log_cosh(u: Node) -> Node:
    """Return log cosh u: next to 0 from cosh u = 1 + 2 sinh(u/2)**2, elsewhere without the overflow of cosh."""
    half = call("sinh", mul(number("0.5"), u))
    near = call("log1p", mul(TWO, node("**", half, 2)))
    far = add(node("abs", u), add(call("log1p", call("exp", mul(neg(TWO), node("abs", u)))), neg(call("log", TWO))))
    return choose(node("<", node("abs", u), ONE), near, far)


def _log1p(n: Node) -> Node | None:
    a = _function(n, "log1p")
    u = None if a is None else _function(a, "exp")
    if u is not None and not (u.op == "neg" and u.operand().op == "abs"):  # log1p(exp(-abs(u))) is accurate
        return call("softplus", u)
    return None


def _exp(n: Node) -> Node | None:
    a = _function(n, "exp")
    if a is None:
        return None
    u = _minus_square(a)
    return node("row", "gaussian", u) if u is not None and u.sources else None


def _erfc(n: Node) -> Node | None:
    """Return 2 normcdf(-u) in place of erfc(u / sqrt(2)), since erfc amplifies the rounding error of a large argument."""
    a = _function(n, "erfc")
    u = None if a is None else _over_root_two(a)
    return None if u is None else node("*", TWO, call("normcdf", neg(u)))


def _sqrt(n: Node) -> Node | None:
    a = _function(n, "sqrt")
    u = None if a is None else _square_root(a)
    return None if u is None else node("abs", u)


def _sum(n: Node) -> Node | None:
    """Return expm1, erfc, sigmoid or tanh in place of a difference that cancels."""
    terms = _terms(n)
    if not terms:
        return None
    for (sign, a), (unit, one) in (terms, terms[::-1]):
        if unit == 1 and (u := _softplus_tail(a)) is not None and ZERO in one.args and u in one.args:
            if sign == 1 and one.op == "max":
                return call("softplus", u)
            if sign == -1 and one.op == "min":
                return node("row", "logsigmoid", u)
        if not _is(one, 1) or not a.sources:
            continue
        if sign != unit and (u := _function(a, "exp")) is not None:
            return call("expm1", u) if sign == 1 else neg(call("expm1", u))
        if unit == 1 and (u := _function(a, "erf")) is not None:
            return call("erfc", neg(u) if sign == 1 else u)
        if unit == 1 and sign == -1 and (u := _function(a, "erfc")) is not None:
            return call("erf", u)
        if unit == 1 and sign == -1 and (u := _function(a, "sigmoid")) is not None:
            return call("sigmoid", neg(u))
        if unit == 1 and sign == -1 and (u := _function(a, "normcdf")) is not None:
            return call("normcdf", neg(u))
        if unit == 1 and sign == -1 and (u := _function(a, "cos")) is not None:
            return node("*", TWO, node("**", call("sin", mul(number("0.5"), u)), 2))
        twice = _doubled(a)
        if unit == -1 and sign == 1 and twice is not None and (u := _function(twice, "sigmoid")) is not None:
            half = _doubled(u)
            return call("tanh", half) if half is not None else None
    return None


def _softplus_tail(n: Node) -> Node | None:
    """Return u if the node is log1p(exp(-abs(u)))."""
    e = _function(n, "log1p")
    a = None if e is None else _function(e, "exp")
    return a.operand().operand() if a is not None and a.op == "neg" and a.operand().op == "abs" else None


def _quotient(n: Node) -> Node | None:
    a, b = n.args
    if not b.sources:
        return _over_constant(a, b)
    e = _one_plus(b)
    u = None if e is None else _function(e, "exp")
    if u is not None:  # a / (1 + exp(u))
        if _function(a, "exp") is u:
            return call("sigmoid", u)
        return mul(a, call("sigmoid", neg(u)))
    return _tanh(a, b)


def _over_constant(a: Node, b: Node) -> Node | None:
    """Return sinh or cosh in place of (exp(u) - exp(-u)) / 2 and (exp(u) + exp(-u)) / 2."""
    found = _both_exponentials(a) if _is(b, 2) else None
    return None if found is None else call(*found)


def _both_exponentials(n: Node) -> tuple[str, Node] | None:
    """Return ("sinh", u) for exp(u) - exp(-u), and ("cosh", u) for exp(u) + exp(-u)."""
    terms = _terms(n)
    if not terms or 1 not in (terms[0][0], terms[1][0]):
        return None
    if terms[0][0] != 1:
        terms = terms[::-1]
    u, v = (_function(a, "exp") for _, a in terms)
    if u is None or v is None or neg(u) is not v:
        return None
    return ("cosh" if terms[1][0] == 1 else "sinh"), u


def _tanh(a: Node, b: Node) -> Node | None:
    """Return tanh in place of quotients of exponentials."""
    above, below = _both_exponentials(a), _both_exponentials(b)
    if above and below and above[0] == "sinh" and below[0] == "cosh":
        u, v = above[1], below[1]
        return call("tanh", u) if u is v or u is neg(v) else None
    if (w := _function(a, "sinh")) is not None and w is _function(b, "cosh"):
        return call("tanh", w)
    expm1, e = _function(a, "expm1"), _one_plus(b)
    if expm1 is not None and e is not None and _function(e, "exp") is expm1 and (half := _doubled(expm1)) is not None:
        return call("tanh", half)
    return None


def _product(n: Node) -> Node | None:
    for a, b in _factors(n):
        u, v = _function(a, "exp"), _function(b, "sigmoid")
        if u is not None and v is not None and u is neg(v):  # exp(u) / (1 + exp(u))
            return call("sigmoid", u)
        if _is(a, 0.5):
            found = _both_exponentials(b)
            if found is not None:
                return call(*found)
            if b.op == "*" and _is(b.operand(), 2):
                return b.operand(1)
    return node("**", n.operand(), 2) if n.operand() is n.operand(1) and n.operand().sources else None


def _over_root_two(n: Node) -> Node | None:
    """Return a if the node is a / sqrt(2)."""
    if n.op == "neg":
        a = _over_root_two(n.operand())
        return None if a is None else neg(a)
    if n.op == "/" and _is(n.operand(1), 2**0.5):
        return n.operand()
    if n.op == "*":
        for c, a in _factors(n):
            if not c.sources and constant_or_none(c) == 0.5**0.5:
                return a
    return None


def _power(n: Node) -> Node | None:
    a, k = n.args
    if k == 2 and a.op in ("neg", "abs"):
        return node("**", a.operand(), 2)
    e = _one_plus(a)
    u = None if e is None else _function(e, "exp")
    return call("sigmoid", neg(u)) if k == -1 and u is not None else None


def _real_power(n: Node) -> Node | None:
    a, b = n.operand(), n.operand(1)
    if a is E:
        return call("exp", b)
    if not b.sources and constant_or_none(b) == 0.5:
        return _sqrt(call("sqrt", a))
    return None


def _choice(n: Node) -> Node | None:
    """Return the branch of a condition that is constant."""
    condition, a, b = n.operands()
    if condition.sources or any(m.op in ("&", "|", "above") for m in order(condition)):
        return None
    left, right = (constant_or_none(v) for v in condition.operands())
    if left is None or right is None:
        return None
    outcomes = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right, "==": left == right}
    return a if outcomes.get(condition.op, left != right) else b


RULES: dict[str, tuple[Rule, ...]] = {
    "call": (_log, _log1p, _exp, _erfc, _sqrt),
    "+": (_sum,),
    "-": (_sum,),
    "/": (_quotient,),
    "*": (_product,),
    "**": (_power,),
    "pow": (_real_power,),
    "if": (_choice,),
}

"""Texts as formulas: each is compiled, or refused at once with an error that shows the place. None is executed or crashes.

A seed makes a hundred texts: formulas of the grammar, formulas with damaged characters, sequences of tokens, and texts in other
languages. A formula that compiles runs on special numbers; its normal form gives the same program; NaN stays NaN; and its value
and derivative agree with an evaluation of the graph of the text in another arithmetic, except where terms cancel.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from typing import Any

import numpy as np

from pynn import _core
from pynn._formula import FormulaError, compile_formula
from pynn._formula.derivative import Derivative
from pynn._formula.evaluate import evaluate
from pynn._formula.exact import Exact, exact
from pynn._formula.inline import inlined
from pynn._formula.nodes import BOOLEAN, Node, order
from pynn._formula.parser import read
from pynn._formula.table import FORMS, FUNCTIONS, rows

TEXTS, SECONDS = 100, 0.05
PARAMETERS = {"a": 1.5, "b": -0.25}
NUMBERS = ("0", "1", "2", "0.5", "3", "1e-3", "10", "1e300", "0.1", "7", "1e-300", "64", "65", "100")
TOKENS = (
    *("x", "a", "b", "pi", "e", "(", ")", "(", ")", ",", "+", "-", "*", "/", "**", "<", "<=", ">", ">=", "==", "!=", "&", "|"),
    *("and", "or", "not", "if", "else", "lambda", "await", "yield", "None", "for", "in", "is", " ", "\n", "\t", ".", ":", "=", ":=", "@"),
    *("[", "]", "{", "}", "'", '"', "f'", "\\", "#", ";", "~", "^", "%", "//", "->", "...", "__class__", "__import__", "0x1", "1_0", "1j"),
    *("\0", "\u00e9", "\u03c0", "\uff58", "\u2212", "\u00b2", "\u202e", "\ud800", "\U0001d465", "\x0c", "\r", "\u00a0", "1e999", "9" * 50),
    *NUMBERS,
    *(f"{name}(" for name in (*FORMS, *FUNCTIONS, *rows())),
)
NESTED = (("(", ")"), ("-", ""), ("abs(", ")"), ("x**", ""), ("not ", ""), ("where(x>0,", ",x)"), ("[", "]"), ("x+", ""))
X = np.array([np.nan, -np.inf, np.inf, -0.0, 0.0, 1e-310, -1e300, -37.5, -2.3, -0.7, 0.31, 1.7, 4.9, 88.9, 710.0])
COMPARED = (-2.3, -0.7, 0.31, 1.7)


def formula(r: random.Random, depth: int) -> str:
    """Return a formula of the grammar."""
    if depth <= 0 or r.random() < 0.1:
        return r.choice(("x", "x", "x", "a", "b", "pi", "e", *NUMBERS[:6]))
    kind, part = r.random(), depth - 1
    if kind < 0.4:
        return f"{formula(r, part)} {r.choice('+-*/')} {formula(r, part)}"
    if kind < 0.5:
        return f"({formula(r, part)})"
    if kind < 0.55:
        return f"({formula(r, part)})**{r.choice(('2', '3', '-1', '0.5', '-2', 'a', 'x', '1.5'))}"
    if kind < 0.6:
        return f"-{formula(r, part)}"
    if kind < 0.7:
        return f"where({condition(r, part)}, {formula(r, part)}, {formula(r, part)})"
    if kind < 0.75:
        return f"{r.choice(('max', 'min', 'maximum'))}({formula(r, part)}, {formula(r, part)})"
    if kind < 0.8:
        name = r.choice(sorted(rows()))
        least = sum(value is ... for value in rows()[name][1].defaults.values())
        return f"{name}({', '.join([formula(r, part), *(r.choice(('0.5', '1', 'a')) for _ in range(least))])})"
    return f"{r.choice(sorted(FUNCTIONS | {'abs', 'sign', 'square'}))}({formula(r, part)})"


def condition(r: random.Random, depth: int) -> str:
    if depth > 0 and r.random() < 0.2:
        return f"{r.choice(('', 'not '))}({condition(r, depth - 1)}) {r.choice(('and', 'or'))} {condition(r, depth - 1)}"
    return f"{formula(r, depth)} {r.choice(('<', '<=', '>', '>=', '==', '!='))} {formula(r, depth)}"


def damaged(r: random.Random, text: str) -> str:
    for _ in range(r.randint(1, 3)):
        i, j = sorted((r.randint(0, len(text)), r.randint(0, len(text))))
        insert = r.choice((r.choice(TOKENS), chr(r.randrange(0x110000)), "", text[i:j]))
        text = text[:i] + insert + text[r.choice((i, i + 1, j)) :]
    return text


def text_of(r: random.Random) -> str:
    kind = r.random()
    if kind < 0.15:
        return formula(r, r.randint(1, 4))
    if kind < 0.55:
        return damaged(r, formula(r, r.randint(1, 4)))
    if kind < 0.9:
        return "".join(r.choice(TOKENS) for _ in range(r.randint(1, 30)))
    if kind < 0.97:
        unit, end = r.choice(NESTED)
        count = r.choice((1, 10, 59, 61, 150, 1000, 100_000))
        return unit * count + "x" + end * r.choice((count, count, count - 1))
    return "".join(chr(r.randrange(0x110000)) for _ in range(r.randint(1, 40)))


def run(seed: int, done: Counter[str]) -> None:
    r = random.Random(seed)
    for _ in range(TEXTS):
        text = text_of(r)
        kind = tried(r, text)
        done[kind] += 1


def tried(r: random.Random, text: str) -> str:
    """Compile one text, check the result, and return what it was."""
    given = {name: value for name, value in PARAMETERS.items() if name in text.replace("abs", "").replace("tan", "")}
    learn = r.choice(((), tuple(given)))
    begin = time.thread_time()
    try:
        program = compile_formula(text, parameters=given, learn=learn)
    except FormulaError as error:
        took = time.thread_time() - begin
        message = str(error)
        assert took < SECONDS or time.thread_time() - begin < SECONDS, (text[:200], took)
        assert len(message) < 2_000, text[:200]
        assert message.isprintable() or "\n" in message, text[:200]
        return "an error"
    again = compile_formula(program.text, parameters=given, learn=learn)
    assert (again.text, again.row) == (program.text, program.row), (text, program.text)
    core = _core.Formula(program.code, program.outputs, 1, len(given))
    numbers = tuple(given.values())
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            for f in (core.ufunc, core.grad):
                y = f(X.astype(dtype), *map(dtype, numbers))
                assert y.dtype == dtype, text
                assert np.isnan(y[0]), (text, "NaN is lost")
        if r.random() < 0.25:
            compare(text, given, core)
    return "a row" if program.row else "a formula"


def compare(text: str, given: dict[str, float], core: Any) -> None:
    """Compare value and derivative with mpmath, up to the rounding errors of the largest intermediate result."""
    root = inlined(read(text, tuple(given)))
    slope = Derivative()(root)
    if len(order(slope)) > 150:  # towers of powers take too long in mpmath
        return
    pairs = [(root, core.ufunc), (slope, core.grad)]
    if any(n.op in ("==", "!=") for n in order(root)):  # the oracle takes these for equal at single points only
        del pairs[1]
    for graph, f in pairs:
        for x in COMPARED:
            values = {**given, "x": x}
            expected = exact(graph, values)
            largest = scale(graph, values)
            if largest is None or not math.isfinite(float(expected)) or not math.isfinite(float(exact(root, values))):
                continue
            got = float(f(x, *given.values()))
            assert abs(got - float(expected)) <= 1e-9 * largest, (text, x, got, float(expected), "value" if graph is root else "derivative")


def scale(graph: Node, values: dict[str, float]) -> float | None:
    """Return how large errors may be: the largest intermediate result, times what functions amplify. None next to a discontinuity."""
    numbers = Exact(60)
    given = {name: numbers.mp.mpf(v) for name, v in values.items()}
    largest = 1.0
    for n in order(graph):
        if n.op in BOOLEAN or n.op in ("sign", "max", "min", "abs"):
            a, b = (*n.operands(), None)[:2] if n.op in ("sign", "abs") else n.args[:2]
            if n.op in ("&", "|"):
                continue
            try:
                difference = evaluate(a, numbers, given) - (0 if b is None else evaluate(b, numbers, given))
                if not abs(difference) > 1e-6:
                    return None
            except (ArithmeticError, ValueError, TypeError):
                return None
            continue
        try:
            y = abs(float(numbers.mp.mpf(evaluate(n, numbers, given))))
        except (ArithmeticError, ValueError, TypeError):
            return None
        if not y < 1e30 or (n.op in ("call",) and n.args[0] in ("floor", "round")):
            return None
        largest = max(largest, y)
    return largest**4

"""Check of an activation: where its formula overflows, cancels, loses NaN, has kinks or a wrong limit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Array
from ..activations import activations
from ..layers._base import Layer
from ..layers.activation import _Activation

if TYPE_CHECKING:
    from .._formula.check import Error, Kink, Measured

_WIDTH = 79
_FINE, _LOST = 64.0, 2.0**26
"""Errors in ULP: up to the first an activation is accurate; from the second on, half of the digits of a float64 are wrong."""
_WHICH = ("value", "derivative")


@dataclass(frozen=True)
class ActivationReport:
    """What `check_activation` found.

    Attributes
    ----------
    formula : str
        The formula as it was given, or the name of a Python function.
    runs_as : str
        The formula as it is computed.
    row : str
        The function of the library to which the formula is equal, with its parameters, or "".
    problems : tuple of str
        Defects of the activation as it runs.
    as_written : tuple of str
        Defects that the formula has when it is computed as it is written, and that the replacement avoids.
    suggestions : tuple of str
        What to write instead.
    notes : tuple of str
        Properties that are no defects: kinks, jumps and the like.
    errors : dict of (str, str) to Error
        The largest error of ``("value" or "derivative", "float64" or "float32")``, with attributes ``ulp``, ``x``, ``got`` and
        ``expected``. Empty for Python functions.
    written_errors : dict of str to Error
        The same for the formula as it is written, in float64, by ``"value"`` or ``"derivative"``.
    limits : tuple of float
        The limits at -inf and inf; NaN if there is none.
    kinks : tuple of Kink
        The points where the function or its derivative jumps, with attributes ``x``, ``values``, ``slopes`` and ``jumps``.

    Examples
    --------
    >>> import pynn
    >>> report = pynn.testing.check_activation("log(1 + exp(x))")
    >>> report.row, report.suggestions
    ('softplus(x)', ('write softplus(x) instead of log(1 + exp(x))',))
    """

    formula: str
    runs_as: str = ""
    row: str = ""
    problems: tuple[str, ...] = ()
    as_written: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    errors: Mapping[tuple[str, str], Error] = field(default_factory=dict)
    written_errors: Mapping[str, Error] = field(default_factory=dict)
    limits: tuple[float, float] = (float("nan"), float("nan"))
    kinks: tuple[Kink, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def __str__(self) -> str:
        lines = [f"Activation {self.formula}"]
        if self.row:
            lines.append(f"runs as {self.row}, a function of the library")
        elif self.runs_as and self.runs_as.replace(" ", "") != self.formula.replace(" ", ""):
            lines.append(f"runs as {self.runs_as}")
        for which in _WHICH:
            found = [f"{e.ulp:.3g} ULP in {t} (x = {e.x:.4g})" for (w, t), e in self.errors.items() if w == which]
            if found:
                lines.append(f"error of the {which}: at most {', '.join(found)}")
        lines.append(f"limits: {_number(self.limits[0])} at -inf, {_number(self.limits[1])} at inf")
        for title, texts in (
            ("problem", self.problems),
            ("computed as written", self.as_written),
            ("suggestion", self.suggestions),
            ("note", self.notes),
        ):
            lines += [f"{title}: {text}" for text in texts]
        lines += ["no problems"] * self.ok
        wrapped = [textwrap.fill(line, _WIDTH, subsequent_indent="    ", break_on_hyphens=False) for line in lines]
        return "\n".join(wrapped)

    def raise_if_wrong(self) -> None:
        """Raise AssertionError with the report if there are problems."""
        if self.problems:
            raise AssertionError(str(self))


def check_activation(
    f: str | Layer | Callable[[Array], Array], *, df: Callable[[Array], Array] | None = None, **parameters: float
) -> ActivationReport:
    """Check an activation, and say in words what is wrong with it and what to write instead.

    Formulas are compared with an evaluation to 60 digits, in float64 and float32, from subnormal numbers to 1e300. Reported are

    - the largest errors of value and derivative, in units in the last place (ULP);
    - parts that overflow, and terms that cancel;
    - values at infinity that are not the limits, and NaN that is lost;
    - kinks and jumps;
    - functions of the library that compute the same more accurately.

    A formula is computed as accurately as pynn can, and the report says what goes wrong if it is computed as it is written.

    Parameters
    ----------
    f : str, Layer or callable
        A formula such as ``"x * sigmoid(a*x)"``, the name of an activation, an activation layer, or a Python function of an array.
    df : callable, optional
        The derivative of a Python function.
    **parameters : float
        The parameters of a formula.

    Returns
    -------
    ActivationReport
        ``print`` shows it as text; ``ok`` says whether there are no problems.

    Raises
    ------
    ValueError
        If the formula cannot be read; the message shows the place.
    TypeError
        If `f` is not an activation.
    ImportError
        If mpmath is not installed and `f` is a formula.

    Examples
    --------
    >>> import pynn.testing
    >>> print(pynn.testing.check_activation("log(1 + exp(x))"))
    Activation log(1 + exp(x))
    runs as softplus(x), a function of the library
    error of the value: at most ... ULP in float64 (x = ...), ... ULP in
        float32 (x = ...)
    error of the derivative: at most ... ULP in float64 (x = ...), ... ULP in
        float32 (x = ...)
    limits: 0 at -inf, inf at inf
    computed as written: exp(x) overflows for x > 709.783
    computed as written: the value at x = 710.5 is inf, expected 710.5 (all digits
        wrong)
    computed as written: the derivative at x = 710.5 is nan, expected 1 (all
        digits wrong)
    suggestion: write softplus(x) instead of log(1 + exp(x))
    no problems
    >>> pynn.testing.check_activation("x * sigmoid(x) * sin(x)").problems
    ('the value at -inf is nan, the limit is 0',)
    """
    text, given = _formula_of(f, parameters)
    if text is not None:
        if df is not None:
            raise TypeError("df: the derivative of a formula is computed from it; df belongs to a Python function")
        return _check_formula(text, given)
    f, df = getattr(f, "f", f), getattr(f, "df", df)
    if not callable(f) or isinstance(f, Layer):
        raise TypeError(f"f: expected a formula, the name of an activation, an activation layer or a function, got {f!r}")
    if parameters:
        raise TypeError(f"{next(iter(parameters))}: only formulas have parameters")
    return _check_function(f, df)


def _formula_of(f: Any, parameters: Mapping[str, float]) -> tuple[str | None, dict[str, float]]:
    """Return the text and the parameters of a formula, a row of the table or a layer; None for a Python function."""
    if isinstance(f, str):
        if f not in activations:
            return f, dict(parameters)
        values = [repr(float(v)) for v in parameters.values()]
        unknown = [name for name in parameters if name not in _row_parameters(f)]
        if unknown:
            raise TypeError(f"{unknown[0]}: {f} has the parameters {', '.join(_row_parameters(f)) or '(none)'}")
        return f"{f}({', '.join(['x', *values])})", {}
    if isinstance(f, _Activation):
        row = f._variants[f._choice["approximate"]] if f._choice else f._row["name"]
        return f"{row}({', '.join(['x', *(repr(v) for v in f._values.values())])})", {}
    text = getattr(f, "formula", None)
    if isinstance(f, Layer) and isinstance(text, str):
        names = f.get_config().get("parameters", {})
        return text, {name: float(np.ravel(getattr(f, name))[0]) for name in names}
    return None, {}


def _row_parameters(name: str) -> list[str]:
    from .._tables import parse_parameters

    return [*parse_parameters(activations[name]["params"]).defaults]


# ---- formulas ------------------------------------------------------------------------------------------------------


def _check_formula(text: str, given: Mapping[str, float]) -> ActivationReport:
    from .._formula import compile_formula
    from .._formula.parser import read

    try:
        from .._formula.check import Measured
    except ImportError as error:
        raise ImportError("check_activation needs mpmath: pip install 'pynn-c[test]', or pip install mpmath") from error
    program = compile_formula(text, parameters=given)
    m = Measured(program, read(text, tuple(given)), {name: float(v) for name, v in given.items()})
    errors = {(which, dtype): m.error(m.run, which, dtype) for which in _WHICH for dtype in ("float64", "float32")}
    written = {which: m.error(m.written, which, "float64") for which in _WHICH}
    limits = m.limit("value", -1), m.limit("value", 1)
    as_written = _defects_as_written(m, errors, written)
    return ActivationReport(
        formula=text,
        runs_as=program.simplified,
        row=_row_text(program.row),
        problems=(*_undefined(m), *_inaccurate(errors), *_wrong_limits(m, "value"), *_lost_nan(m), *_wrong_derivatives(m)),
        as_written=as_written,
        suggestions=_suggestions(m, program),
        notes=_notes(m),
        errors=errors,
        written_errors=written,
        limits=limits,
        kinks=tuple(m.kinks),
    )


def _row_text(row: tuple[str, tuple[float, ...]] | None) -> str:
    if row is None:
        return ""
    defaults = [*_defaults(row[0])]
    given = [repr(v) for v in row[1]] if [*row[1]] != defaults else []
    return f"{row[0]}({', '.join(['x', *given])})"


def _defaults(name: str) -> list[Any]:
    from .._tables import parse_parameters

    return [*parse_parameters(activations[name]["params"]).defaults.values()]


def _inaccurate(errors: Mapping[tuple[str, str], Error]) -> list[str]:
    found = []
    for which in _WHICH:
        e = errors[which, "float64"]
        if e.ulp > _LOST:
            found.append(f"the {which} at x = {e.x:.6g} is {_number(e.got)}, expected {_number(e.expected)}{_reason(e)}")
        elif e.ulp > _FINE:
            found.append(f"the {which} loses digits: {e.ulp:.3g} ULP at x = {e.x:.6g}")
        single = errors[which, "float32"]
        if e.ulp <= _FINE < single.ulp:
            found.append(f"in float32 the {which} at x = {single.x:.6g} is {_number(single.got)}, expected {_number(single.expected)}")
    return found


def _reason(e: Error) -> str:
    if not np.isfinite(e.got):
        return " (a part overflows, or is not a number)"
    if e.got == 0 or abs(e.got - e.expected) > 1e-9 * abs(e.expected):
        return " (terms cancel)"
    return ""


def _defects_as_written(m: Measured, errors: Mapping[tuple[str, str], Error], written: Mapping[str, Error]) -> tuple[str, ...]:
    """Return what goes wrong if nothing in the formula is replaced, and does not if it is."""
    found = []
    overflow = m.overflow()
    if overflow is not None:
        part, x = overflow
        found.append(f"{part} overflows for x {'>' if x > 0 else '<'} {x:.6g}")
    for which in _WHICH:
        e, run = written[which], errors[which, "float64"]
        if e.ulp > max(_FINE, 8 * run.ulp):
            found.append(f"the {which} at x = {e.x:.6g} is {_number(e.got)}, expected {_number(e.expected)} ({_ulp(e.ulp)})")
    for sign in (-1, 1):
        got, limit, run_limit = (float(m.call(f, "value", sign * np.inf)) for f in (m.written, m.run, m.run))
        if np.isnan(got) and not np.isnan(limit):
            found.append(f"the value at {'-' * (sign < 0)}inf is nan, the limit is {_number(run_limit)}")
    return tuple(found)


def _ulp(size: float) -> str:
    return "all digits wrong" if size > 2.0**52 else f"{size:.3g} ULP"


def _undefined(m: Measured) -> list[str]:
    x = m.undefined()
    return [] if x is None else [f"the value at x = {x:.6g} is not a real number"]


def _wrong_limits(m: Measured, which: str) -> list[str]:
    found = []
    for sign in (-1, 1):
        limit, got = m.limit(which, sign), float(m.call(m.run, which, sign * np.inf))
        if not np.isnan(limit) and not (got == limit or abs(got - limit) <= 1e-12 * abs(limit)):
            found.append(f"the {which} at {'-' * (sign < 0)}inf is {_number(got)}, the limit is {_number(limit)}")
    return found


def _lost_nan(m: Measured) -> list[str]:
    return [f"the {which} of NaN is not NaN" for which in _WHICH if not np.isnan(m.call(m.run, which, np.nan))]


def _wrong_derivatives(m: Measured) -> list[str]:
    """Compare the derivatives with numerical differentiation in 60 digits, which needs no rules."""
    from mpmath import mp as shared

    mp = shared.clone()
    mp.dps = 200
    step = mp.mpf(10) ** -20
    found = []
    for x in (-3.17, -1.31, -0.43, 0.38, 1.27, 2.91):
        slope = (m.value(mp.mpf(x) + step) - m.value(mp.mpf(x) - step)) / (2 * step)
        exact = m.derivative(x)
        if slope == slope and abs(exact - slope) > 1e-12 * max(1, abs(slope)):
            found.append(f"the derivative at x = {x} is {float(exact):.6g}, differences give {float(slope):.6g}")
    return found


def _suggestions(m: Measured, program: Any) -> tuple[str, ...]:
    from .._formula.nodes import Node, tree_size
    from .._formula.stable import stable
    from .._formula.text import written

    replaced: dict[Node, Node] = {}
    stable(m.root, replaced)
    found = []
    row = _row_text(program.row)
    same_name = row and m.root.op in ("row", "call") and written(m.root).split("(")[0] == row.split("(")[0]
    if row and row != written(m.root) and not same_name and row != "identity(x)":
        found.append(f"write {row} instead of {program.text}")
    for n, step in replaced.items():
        better = step
        while better in replaced:
            better = replaced[better]
        if n in replaced.values():
            continue
        whole = found and n is m.root
        if not whole and max(tree_size(n), tree_size(better)) < 60 and better.op not in ("**", "abs"):
            found.append(f"write {written(better)} instead of {written(n)}")
    return tuple(dict.fromkeys(found))


def _notes(m: Measured) -> tuple[str, ...]:
    from .._formula.check import FAR

    found = _wrong_limits(m, "derivative") if not _wrong_limits(m, "value") else []
    for which in _WHICH:
        e = m.error(m.run, which, "float64", far=True)
        if e.ulp > _LOST:
            found.append(f"beyond |x| = {FAR:g}: the {which} at x = {e.x:.6g} is {_number(e.got)}, expected {_number(e.expected)}")
    for kink in m.kinks:
        (left, right), (before, after) = kink.values, kink.slopes
        if kink.jumps:
            found.append(f"jump at x = {kink.x:.6g} from {_number(left)} to {_number(right)}, which no gradient shows")
        else:
            at = float(m.call(m.run, "derivative", kink.x))
            found.append(f"kink at x = {kink.x:.6g}: the slope goes from {_number(before)} to {_number(after)}; there it is {_number(at)}")
    return tuple(found)


def _number(value: float) -> str:
    return f"{value + 0.0:.6g}"


# ---- Python functions ----------------------------------------------------------------------------------------------


def _check_function(f: Callable[[Array], Array], df: Callable[[Array], Array] | None) -> ActivationReport:
    name = getattr(f, "__name__", type(f).__name__)
    problems: list[str] = []

    def call(function: Callable[[Array], Array], x: Any, dtype: type = np.float64) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(np.asarray(x, dtype)))

    x = np.concatenate([np.linspace(-6, 6, 121) + 0.0137, [-1e30, -1000.0, -100.0, 100.0, 1000.0, 1e30]])
    for what, function in (("f", f), ("df", df)):
        if function is None:
            continue
        y = call(function, x)
        if y.shape != x.shape:
            problems.append(f"{what} returns the shape {y.shape} for an input of shape {x.shape}")
            continue
        dtypes = {np.dtype(t): call(function, x, t).dtype for t in (np.float32, np.float64)}
        problems += [f"{what} returns {found} for {given}" for given, found in dtypes.items() if found != given]
        bad = x[~np.isfinite(y) & (np.abs(x) <= 1000)]
        if bad.size:
            at = min(bad.tolist(), key=abs)
            problems.append(f"{what} is {_number(float(call(function, [at])[0]))} at x = {at:.6g}: a part overflows, or is not a number")
        if not np.isnan(call(function, [np.nan])).all():
            problems.append(f"{what}(nan) is {_number(float(call(function, [np.nan])[0]))}, expected nan: NaN in the data would be hidden")
    limits = _limits_of(call, f)
    for sign, limit in zip((-1.0, 1.0), limits, strict=True):
        got = float(np.ravel(call(f, [sign * np.inf]))[0])
        if not np.isnan(limit) and not (got == limit or abs(got - limit) <= 1e-9 * abs(limit)):
            problems.append(f"the value at {'-' * (sign < 0)}inf is {_number(got)}, the limit is {_number(limit)}")
    if df is not None and not problems:
        problems += _wrong_slopes(call, f, df)
    return ActivationReport(formula=str(name), problems=tuple(problems), limits=limits)


def _limits_of(call: Callable[..., Array], f: Callable[[Array], Array]) -> tuple[float, float]:
    found = []
    for sign in (-1.0, 1.0):
        near, far, farther = (float(np.ravel(call(f, [sign * x]))[0]) for x in (1e20, 1e30, 1e40))
        grows = abs(farther) > 100 * abs(far) > 1e4 * abs(near)
        settled = abs(far - farther) <= 1e-9 * abs(far)
        found.append(float(np.copysign(np.inf, farther)) if grows else farther if settled else float("nan"))
    return found[0], found[1]


def _wrong_slopes(call: Callable[..., Array], f: Callable[[Array], Array], df: Callable[[Array], Array]) -> list[str]:
    x = np.linspace(-5, 5, 81) + 0.0137
    step = 1e-5
    slopes = (call(f, x + step) - call(f, x - step)) / (2 * step)
    left, right = (call(f, x) - call(f, x - step)) / step, (call(f, x + step) - call(f, x)) / step
    smooth = np.abs(left - right) < 1e-2 * (1 + np.abs(slopes))
    got = call(df, x)
    wrong = np.flatnonzero(smooth & ~(np.abs(got - slopes) <= 1e-5 * (1 + np.abs(slopes))))
    if not wrong.size:
        return []
    i = int(wrong[0])
    return [f"df is wrong at x = {x[i]:.6g}: it gives {_number(float(got[i]))}, central differences give {_number(float(slopes[i]))}"]

"""The atlas of published activations."""

import fnmatch
import inspect
import math
import re
import time
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import pynn
import pynn.testing
from pynn import _core
from pynn._atlas import Entry, Properties
from pynn._formula import compile_formula

ROOT = Path(__file__).parents[1]
NAMES = list(pynn.atlas)
# Irregular points, so that none is at a kink.
POINTS = np.array(
    [-23.7, -8.3, -3.13, -1.717, -1.09, -0.613, -0.257, -0.0473, -1e-5, 2e-6, 0.0319, 0.171, 0.443, 0.771, 1.19, 1.83, 2.71, 6.7, 19.3]
)

_mp = mpmath.mp.clone()
_mp.dps = 60


def _choose(condition: bool, a: Any, b: Any) -> Any:
    return (a if condition else b)()


class _Lazy:
    """Evaluate only the branch that is taken, as text: the other one may be undefined."""

    def __init__(self, text: str) -> None:
        depth, parts, start = 0, [], 0
        for i, c in enumerate(text):
            depth += (c == "(") - (c == ")")
            if c == "," and depth == 0:
                parts.append(text[start:i])
                start = i + 1
        self.parts = [*parts, text[start:]]


def _with_lambdas(text: str) -> str:
    """Return a formula in which the branches of each ``where`` are functions without arguments."""
    at = text.find("where(")
    if at < 0:
        return text
    depth, end = 0, at + 5
    while True:
        depth += (text[end] == "(") - (text[end] == ")")
        end += 1
        if depth == 0:
            break
    condition, a, b = _Lazy(text[at + 6 : end - 1]).parts
    inside = f"choose({_with_lambdas(condition)}, lambda: {_with_lambdas(a)}, lambda: {_with_lambdas(b)})"
    return text[:at] + inside + _with_lambdas(text[end:])


_SPACE: dict[str, Any] = {
    **{name: getattr(_mp, name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "erf", "erfc")},
    **{name: getattr(_mp, name) for name in ("sinh", "cosh", "asinh", "atan", "sign")},
    "pi": +_mp.pi,
    "abs": abs,
    "min": min,
    "max": max,
    "minimum": min,
    "maximum": max,
    "clip": lambda a, low, high: min(max(a, low), high),
    "choose": _choose,
    "sigmoid": lambda a: 1 / (1 + _mp.exp(-a)),
    "logsigmoid": lambda a: -_mp.log1p(_mp.exp(-a)),
    "softplus": lambda a: _mp.log1p(_mp.exp(a)),
    "normcdf": lambda a: _mp.erfc(-a / _mp.sqrt(2)) / 2,
    "normpdf": lambda a: _mp.exp(-(a**2) / 2) / _mp.sqrt(2 * _mp.pi),
    "relu": lambda a: max(a, 0),
    "elu": lambda a: a if a > 0 else _mp.expm1(a),
    "silu": lambda a: a / (1 + _mp.exp(-a)),
    "gelu": lambda a: a * _mp.erfc(-a / _mp.sqrt(2)) / 2,
    "softsign": lambda a: a / (1 + abs(a)),
}  # fmt: skip


def exact(entry: Entry) -> Callable[..., Any]:
    """Return the formula as a function of 60-digit numbers, evaluated by Python and mpmath instead of the formula compiler."""
    code = compile(_with_lambdas(entry.formula), entry.name, "eval")
    values = {name: _mp.mpf(value) for name, value in entry.parameters.items()}
    return lambda x, **changed: eval(code, {**_SPACE, **values, **changed, "x": x})


def close(found: Any, expected: list[Any], tolerance: Any) -> None:
    wanted = np.array([float(value) for value in expected])
    np.testing.assert_array_less(np.abs(found - wanted), tolerance * (1 + np.abs(wanted)))


# ---- data ------------------------------------------------------------------------------------------------------------


def test_there_are_enough_entries() -> None:
    assert len(pynn.atlas) >= 250
    assert len({row["name"] for row in _core.ACTIVATIONS} & set(NAMES)) >= 30
    assert sum(entry.reference is not None for entry in pynn.atlas.values()) >= 150


def test_names_and_aliases_are_distinct() -> None:
    names = [name for entry in pynn.atlas.values() for name in (entry.name, *entry.aliases)]
    assert all(re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in names)
    assert len({name.replace("_", "") for name in names}) == len(names)


def test_references_are_well_formed() -> None:
    data = tomllib.loads((ROOT / "pynn/_atlas/references.toml").read_text(encoding="utf-8"))
    entries = tomllib.loads((ROOT / "pynn/_atlas/activations.toml").read_text(encoding="utf-8"))
    used = {values.get("reference") for values in entries.values()}
    assert used - {None} == set(data)
    for key, values in data.items():
        assert values["authors"], key
        assert values["title"], key
        assert 1800 < values["year"] <= 2026, key
        assert str(values["year"]) in key, key
        if "arxiv" in values:
            year, month = re.fullmatch(r"(\d\d)(\d\d)\.\d{4,5}", values["arxiv"]).groups()  # type: ignore[union-attr]
            assert abs(2000 + int(year) - values["year"]) <= 1, key
            assert 1 <= int(month) <= 12, key
        if "doi" in values:
            assert re.fullmatch(r"10\.\d{4,9}/\S+", values["doi"]), key
    for what in ("arxiv", "doi"):
        numbers = [values[what] for values in data.values() if what in values]
        assert len(set(numbers)) == len(numbers)


def test_sections_of_the_survey_are_well_formed() -> None:
    sections = [entry.survey for entry in pynn.atlas.values() if entry.survey]
    assert all(re.fullmatch(r"[34](\.\d{1,2}){0,2}", section) for section in sections)


def test_no_formula_occurs_twice() -> None:
    calls = [entry._call(entry.parameters, ()) for entry in pynn.atlas.values()]
    texts = [compile_formula(text, parameters=values).text for text, values in calls]
    assert [text for text in texts if texts.count(text) > 1] == []


def test_data_files_are_shipped() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["pynn"]
    files = [path.relative_to(ROOT / "pynn").as_posix() for path in (ROOT / "pynn").rglob("*.toml")]
    assert files
    assert all(any(fnmatch.fnmatch(file, pattern) for pattern in patterns) for file in files)


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_value_and_derivative_agree_with_60_digits(name: str) -> None:
    entry = pynn.atlas[name]
    f, oracle = entry.activation(learn=()), exact(entry)
    points = [_mp.mpf(float(x)) for x in POINTS]
    expected = [oracle(x) for x in points]
    slopes = [(oracle(x + _mp.mpf(10) ** -25) - oracle(x - _mp.mpf(10) ** -25)) / (2 * _mp.mpf(10) ** -25) for x in points]
    close(f(POINTS), expected, 1e-11)
    close(f.grad(POINTS), slopes, 1e-10)
    single = POINTS.astype(np.float32)
    change = np.abs(POINTS * np.array([float(slope) for slope in slopes])) * np.finfo(np.float32).eps  # by rounding of x
    close(f(single), [oracle(_mp.mpf(float(x))) for x in single], 1e-5 + 2 * change)


@pytest.mark.parametrize("name", [name for name in NAMES if pynn.atlas[name].learnt])
def test_derivatives_with_respect_to_parameters_agree_with_60_digits(name: str) -> None:
    entry, step = pynn.atlas[name], _mp.mpf(10) ** -25
    layer, oracle = entry.activation(dtype="float64"), exact(entry)
    x = POINTS[:, None]
    layer(x)
    layer.backward(np.ones_like(x))
    found = dict(layer.named_parameters())
    for parameter in entry.learnt:
        value = _mp.mpf(entry.parameters[parameter])
        each = [
            (oracle(_mp.mpf(float(p)), **{parameter: value + step}) - oracle(_mp.mpf(float(p)), **{parameter: value - step})) / (2 * step)
            for p in POINTS
        ]
        np.testing.assert_allclose(found[parameter].grad, float(sum(each)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_activation_is_a_valid_layer(name: str) -> None:
    entry = pynn.atlas[name]
    pynn.testing.check_layer(entry.activation(dtype="float64" if entry.learnt else None), (5,))


@pytest.mark.parametrize("name", NAMES)
def test_nan_and_limits(name: str) -> None:
    entry = pynn.atlas[name]
    f, properties = entry.activation(learn=()), entry.properties
    with np.errstate(all="ignore"):
        assert np.isnan(f(np.array([np.nan]))).all()
        assert np.isnan(f.grad(np.array([np.nan]))).all()
        for limit, side in ((properties.limit_left, -1), (properties.limit_right, 1)):
            far, infinite = f(side * np.array([1e5, 1e7])), f(np.array([side * np.inf]))[0]
            if limit is not None:
                assert math.isnan(infinite) or infinite == limit or abs(infinite - limit) < 2e-4  # 0 times infinity is NaN
                if math.isfinite(limit):
                    assert (abs(far - limit) < 2e-4 * (1 + abs(limit))).all()
                else:
                    assert (np.sign(far) == np.sign(limit)).all()


# ---- properties ------------------------------------------------------------------------------------------------------

KNOWN = {
    "relu": "monotonic continuous zero_at_zero nonnegative saturates_left",
    "tanh": "monotonic bounded continuous smooth odd zero_at_zero unit_slope_at_zero saturates_left saturates_right zero_centred",
    "sigmoid": "monotonic bounded continuous smooth nonnegative saturates_left saturates_right",
    "binary_step": "monotonic bounded nonnegative saturates_left saturates_right",
    "selu": "monotonic continuous zero_at_zero saturates_left fixed_point zero_centred",
    "elu": "monotonic continuous smooth zero_at_zero unit_slope_at_zero saturates_left",
    "gelu": "continuous smooth zero_at_zero saturates_left",
    "gaussian": "bounded continuous smooth even nonnegative saturates_left saturates_right",
    "abs": "continuous even zero_at_zero nonnegative",
    "softmodulus_t": "continuous smooth even zero_at_zero nonnegative",
    "sine": "bounded continuous smooth odd zero_at_zero unit_slope_at_zero zero_centred",
    "snake": "monotonic continuous smooth zero_at_zero unit_slope_at_zero",
    "gcu": "continuous smooth odd zero_at_zero unit_slope_at_zero zero_centred",
    "symlog": "monotonic continuous smooth odd zero_at_zero unit_slope_at_zero zero_centred",
    "hardshrink": "monotonic odd zero_at_zero zero_centred",
    "iplu": "nonnegative saturates_left",
    "rsigelu": "monotonic zero_at_zero saturates_left",
    "laplacian": "bounded continuous even nonnegative saturates_left saturates_right",
    "exponential_swish": "monotonic bounded continuous smooth nonnegative saturates_left saturates_right",
    "star_relu": "monotonic continuous smooth saturates_left fixed_point zero_centred",
}


@pytest.mark.parametrize("name", KNOWN)
def test_properties_are_those_of_the_function(name: str) -> None:
    found = {f.name for f in fields(Properties) if getattr(pynn.atlas[name].properties, f.name) is True}
    assert found == set(KNOWN[name].split())


@pytest.mark.parametrize(
    ("name", "attribute", "expected"),
    [
        ("tanh", "lower", -1.0),
        ("relu6", "upper", 6.0),
        ("silu", "lower", -0.27846454),
        ("mish", "upper", math.inf),
        ("arctan", "limit_right", math.pi / 2),
        ("exponential", "limit_left", 0.0),
        ("ncu", "limit_left", math.inf),
        ("sine", "limit_left", None),
        ("sigmoid", "steepest", 0.25),
        ("square", "steepest", math.inf),
        ("relu", "mean", 1 / math.sqrt(2 * math.pi)),
        ("square", "std", math.sqrt(2)),
        ("gaussian", "mean", 1 / math.sqrt(3)),
    ],
)
def test_measured_numbers(name: str, attribute: str, expected: float | None) -> None:
    found = getattr(pynn.atlas[name].properties, attribute)
    assert found is None if expected is None else found == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_properties_do_not_contradict_each_other(name: str) -> None:
    p = pynn.atlas[name].properties
    assert p.lower <= p.upper
    assert p.bounded == (math.isfinite(p.lower) and math.isfinite(p.upper))
    assert not p.smooth or p.continuous
    assert not p.odd or (p.zero_at_zero and p.zero_centred)
    assert not (p.odd and p.even)
    assert not p.even or p.limit_left == p.limit_right
    assert p.nonnegative == (p.lower >= -1e-9)
    for limit, saturates in ((p.limit_left, p.saturates_left), (p.limit_right, p.saturates_right)):
        assert saturates == (limit is not None and math.isfinite(limit))
        assert limit is None or p.lower - 1e-3 <= limit <= p.upper + 1e-3


# ---- use -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["leaky_relu", "Leaky ReLU", "LeakyReLU", "leaky-relu", "lrelu", "LReLU"])
def test_names_are_found_in_any_spelling(name: str) -> None:
    assert name in pynn.atlas
    assert pynn.atlas[name] is pynn.atlas["leaky_relu"]
    assert pynn.atlas.get(name).name == "leaky_relu"  # type: ignore[union-attr]


def test_unknown_names() -> None:
    assert "nothing" not in pynn.atlas
    assert 3 not in pynn.atlas  # type: ignore[comparison-overlap]
    with pytest.raises(KeyError, match="no activation 'snaek' in the atlas; did you mean 'snake'"):
        pynn.atlas["snaek"]
    with pytest.raises(KeyError, match=r"no activation 'qqqq' in the atlas; list\(pynn.atlas\) shows all names"):
        pynn.atlas["qqqq"]
    with pytest.raises(KeyError, match="indexed by names of activations, got 3"):
        pynn.atlas[3]  # type: ignore[index]


def test_activation_takes_values_and_learnt_parameters() -> None:
    entry = pynn.atlas["snake_beta"]
    layer = entry.activation(b=4.0)
    assert [p.data.item() for p in layer.parameters()] == [1.0, 4.0]
    assert list(entry.activation(learn=()).parameters()) == []
    assert len(list(entry.activation(learn="a").parameters())) == 1
    assert entry.activation(channels=3).a.shape == (3,)
    x = np.array([0.3, -1.2])
    np.testing.assert_allclose(entry.activation(a=2.0, b=0.5, learn=())(x), x + np.sin(2 * x) ** 2 / 0.5, rtol=1e-12)
    with pytest.raises(ValueError, match="snake_beta has no parameter 'c'; its parameters are a, b"):
        entry.activation(c=1.0)
    with pytest.raises(ValueError, match="tanh has no parameter 'a'; it has no parameters"):
        pynn.atlas["tanh"].activation(a=1.0)
    with pytest.raises(ValueError, match="learn: snake_beta has no parameter 'c' that can be learnt"):
        entry.activation(learn="c")


def test_a_table_row_runs_as_the_row() -> None:
    x = np.linspace(-9, 9, 1001).astype(np.float32)
    np.testing.assert_array_equal(pynn.atlas["elu"].activation(alpha=0.5)(x), pynn.elu(x, 0.5))
    np.testing.assert_array_equal(pynn.atlas["elu"].activation(alpha=0.5).grad(x), pynn.grad.elu(x, 0.5))


def test_activation_by_name() -> None:
    layer = pynn.Activation.named("snake", a=2.0)
    assert layer.a.item() == 2.0
    with pytest.raises(KeyError, match="did you mean 'snake'"):
        pynn.Activation.named("snaek")


def test_entries_train_in_a_net() -> None:
    x = np.linspace(-1, 1, 64)[:, None].astype(np.float32)
    net = pynn.Sequential(pynn.Linear(1, 8, seed=0), pynn.atlas["snake"].activation(), pynn.Linear(8, 1, seed=1))
    history = net.fit(x, np.sin(3 * x), loss="mse", optimizer=pynn.optim.Adam(lr=0.02), epochs=100, seed=0, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert net[1].a.item() != 1.0


def test_every_property_can_be_searched() -> None:
    search: Callable[..., list[Entry]] = pynn.atlas.search
    predicates = {f.name for f in fields(Properties) if f.type == "bool"}
    assert predicates <= set(inspect.signature(pynn.atlas.search).parameters)
    for name in predicates:
        found = search(**{name: True})
        assert 0 < len(found) < len(pynn.atlas)
        assert len(found) + len(search(**{name: False})) == len(pynn.atlas)
        assert all(getattr(entry.properties, name) for entry in found)


def test_search() -> None:
    assert [entry.name for entry in pynn.atlas.search(fixed_point=True, year=2017)] == ["selu"]
    assert {"snake", "siren"} <= {entry.name for entry in pynn.atlas.search(family="periodic", year=2020)}
    assert {entry.year for entry in pynn.atlas.search(year=(2019, 2020))} == {2019, 2020}
    assert all(entry.learnt for entry in pynn.atlas.search(learnt=True))
    assert pynn.atlas.search(learnt=True)
    assert [entry.name for entry in pynn.atlas.search("Sitzmann implicit")] == ["siren"]
    assert pynn.atlas.search("no such words") == []
    assert pynn.atlas.search() == list(pynn.atlas.values())
    with pytest.raises(ValueError, match="family: got 'x', expected one of 'piecewise linear', "):
        pynn.atlas.search(family="x")


def test_the_first_search_is_fast() -> None:
    for entry in pynn.atlas.values():
        entry.__dict__.pop("properties", None)
        entry.__dict__.pop("_functions", None)
    start = time.process_time()
    pynn.atlas.search(monotonic=True, bounded=False, smooth=True)
    assert time.process_time() - start < 3  # 0.8 s on a busy machine, mostly for compiling the formulas


def test_displays() -> None:
    entry = pynn.atlas["snake"]
    assert repr(entry) == "Entry('snake', 'x + sin(a * x)**2 / a', a=1.0, learnt=('a',))"
    text = entry._repr_html_()
    assert text.startswith("<div><svg ")
    assert "<b>snake</b>" in text
    assert "Ziyin" in text
    assert repr(pynn.atlas) == f"<atlas of {len(NAMES)} published activations>"
    assert "<code>snake</code>" in pynn.atlas._repr_html_()
    assert str(entry.reference).endswith("arXiv:2006.08195.")
    assert entry.reference is not None
    assert entry.reference.url == "https://arxiv.org/abs/2006.08195"


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    exec(compile(code, "docs/atlas.md", "exec"), {})
    assert "identity" in capsys.readouterr().out


def test_pictures_belong_to_entries() -> None:
    files = list((ROOT / "docs" / "atlas").iterdir())
    assert {path.name for path in files} == {f"{name}.svg" for name in NAMES}
    assert sum(path.stat().st_size for path in files) < 400_000
    page = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")
    assert all(f"(atlas/{name}.svg)" in page for name in NAMES)

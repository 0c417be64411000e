"""Losses against the plain NumPy twin and difference quotients, for every reduction and kind of target.

A new row of the table needs a body in pynn/reference.py, and no edit here.
"""

import copy
import json
import pickle

import numpy as np
import pytest

import pynn
from pynn import _core, reference

ROWS = {row["name"]: row for row in _core.LOSSES}
rng = np.random.default_rng(1)
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def cases(name: str, rows: int = 7, classes: int = 5) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions with each kind of target that the loss takes."""
    kind, target = ROWS[name]["kind"], ROWS[name]["target"]
    if kind == "r":
        x = rng.normal(size=(rows, classes)) * 3
        x = reference.log_softmax(x) if target == "c" else x
        found = {"labels": (x, rng.integers(classes, size=rows)), "one row": (x[0], np.int64(classes - 1))}
        if target == "c":
            return found
        p = reference.softmax(rng.normal(size=(rows, classes)))
        return {**found, "probabilities": (x, p), "any mass": (x, p / 2), "row of them": (x[0], p[0])}
    prediction = rng.normal(size=(rows, 2, 3)) * 3
    if ROWS[name]["metric"] == "p":
        prediction = 1 / (1 + np.exp(-prediction))
    if target == "u":
        return {"soft": (prediction, rng.random((rows, 2, 3))), "hard": (prediction, rng.integers(2, size=(rows, 2, 3)))}
    return {"real": (prediction, rng.normal(size=prediction.shape)), "one": (prediction[0, 0, :1], np.ones(1))}


CASES = [(name, case) for name in ROWS for case in cases(name)]
each_case = pytest.mark.parametrize(("name", "case"), CASES)


def make(name: str, reduction: str = "mean") -> pynn.Loss:
    loss: pynn.Loss = getattr(pynn, ROWS[name]["cls"])(reduction=reduction)
    return loss


@each_case
@reductions
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient_against_the_twin(name: str, case: str, reduction: str, dtype: str, isa: str) -> None:
    x, target = cases(name)[case]
    x = x.astype(dtype)
    loss = make(name, reduction)
    got = loss(x, target)
    value, grad = reference.loss(name, x.astype("f8"), target.astype(dtype) if target.dtype.kind == "f" else target)
    tight = {"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    assert got.dtype == dtype
    assert np.shape(got) == (np.shape(value) if reduction == "none" else ())
    g = rng.normal(size=np.shape(value))
    expected = {"mean": value.mean(), "sum": value.sum(), "none": value}[reduction]
    weights = {"mean": np.full(g.shape, 1 / value.size), "sum": np.ones_like(g), "none": g}[reduction]
    np.testing.assert_allclose(got, expected, **tight)
    back = loss.backward(g) if reduction == "none" else loss.backward()
    assert back.dtype == dtype
    np.testing.assert_allclose(back, grad * (weights[..., None] if weights.ndim < grad.ndim else weights), **tight)


@each_case
def test_gradient_is_the_difference_quotient(name: str, case: str) -> None:
    x, target = cases(name)[case]
    loss, h, slope = make(name), 1e-6, np.empty_like(x)
    loss(x, target)
    got = loss.backward()
    for i in np.ndindex(x.shape):
        was = x[i]
        x[i] = was + h
        high = float(loss(x, target))
        x[i] = was - h
        slope[i] = (high - float(loss(x, target))) / (2 * h)
        x[i] = was
    np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-8)


@each_case
def test_first_and_last_row_alone_have_the_same_bits(name: str, case: str) -> None:
    x, target = cases(name)[case]
    if x.ndim < 2:
        pytest.skip("one row already")
    whole = make(name, "none")(x, target)
    for i in (0, len(x) - 1):
        np.testing.assert_array_equal(make(name, "none")(x[i : i + 1], target[i : i + 1])[0], whole[i])


@pytest.mark.parametrize("name", ROWS)
def test_no_rows(name: str) -> None:
    x, target = next(iter(cases(name).values()))
    loss = make(name, "sum")
    assert loss(x[:0], target[:0]) == 0
    assert loss.backward().shape == x[:0].shape
    assert np.isnan(make(name)(x[:0], target[:0]))


@pytest.mark.parametrize("name", ROWS)
def test_layout_and_dtype_do_not_matter(name: str) -> None:
    x, target = next(iter(cases(name).values()))
    want = make(name)(x, target)
    assert make(name)(np.asfortranarray(x), np.repeat(target, 2, axis=0)[::2]) == want
    assert make(name)(x.tolist(), target.tolist()) == want
    half = x.astype("f2")
    assert make(name)(half, target) == make(name)(half.astype("f8"), target)


@pytest.mark.parametrize(("name", "x", "target", "expected"), [
    ("cross_entropy", [[1e4, 0.0]], [1], 1e4), ("cross_entropy", [[-1e4, 0.0]], [1], 0), ("bce_with_logits", [1e4], [0.0], 1e4),
    ("bce_with_logits", [-1e4], [0.0], 0), ("bce", [1.0], [0.0], 100), ("bce", [0.0], [0.0], 0), ("cross_entropy", [[3.0]], [0], 0),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sure_predictions_stay_finite(name: str, x: list, target: list, expected: float, dtype: str, isa: str) -> None:
    loss = make(name)
    np.testing.assert_allclose(loss(np.array(x, dtype), np.array(target)), expected, rtol=1e-6)
    assert np.isfinite(loss.backward()).all()


@pytest.mark.parametrize("name", ROWS)
def test_nan_predictions_show(name: str) -> None:
    x, target = next(iter(cases(name).values()))
    x[0] = np.nan
    assert np.isnan(make(name)(x, target))


@pytest.mark.parametrize("name", ROWS)
@reductions
def test_copies(name: str, reduction: str) -> None:
    loss = make(name, reduction)
    x, target = next(iter(cases(name).values()))
    from_config = type(loss)(**json.loads(json.dumps(loss.get_config())))
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), eval(repr(loss), {**vars(pynn)}), from_config):
        assert repr(twin) == repr(loss)
        np.testing.assert_array_equal(twin(x, target), loss(x, target))


def test_backward_is_a_copy() -> None:
    loss = pynn.MSELoss()
    loss(np.ones(3), np.zeros(3))
    loss.backward()[...] = 7
    np.testing.assert_allclose(loss.backward(), 2 / 3)

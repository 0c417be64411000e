"""Calibration and the inputs of activations in the report of pynn.lab.compare: values, storage and output."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve  # type: ignore[import-untyped, unused-ignore]

import pynn
from pynn.datasets import load_digits
from pynn.lab import Calibration, PreActivation, Report, compare
from pynn.lab._data import Data
from pynn.lab._diagnosis import BINS, LEVELS, SAMPLE, calibration_of, pre_activations

X, Y = load_digits()
QUICK: dict[str, Any] = {"hidden": (16,), "epochs": 3, "seeds": 2, "tune": None, "lr": 1e-2, "verbose": False}


@pytest.fixture(scope="module")
def report() -> Report:
    return compare(X, Y, activations=["relu", pynn.SwiGLU, "tanh"], **{**QUICK, "hidden": (16, 16), "init": "shared"})


def trained(seed: int) -> tuple[pynn.Sequential, Any, Any, Any]:
    """Return the net of tanh with a seed, trained without the laboratory, validation rows, and test rows."""
    split = Data(X, Y, task="auto", scale="auto", test_size=0.25, validation_size=0.15, seed=0, has_model=False)
    part, test = split.part(seed), split.test_part(seed)
    s1, s2, s3 = np.random.SeedSequence(seed).generate_state(3).tolist()
    net = pynn.Sequential(pynn.Linear(64, 16, seed=s1), "tanh", pynn.Linear(16, 16, seed=s2), "tanh", pynn.Linear(16, 10, seed=s3))
    rows = part.train
    opt = pynn.optim.Adam(lr=1e-2)
    net.fit(part.X[rows], part.y[rows], loss="cross_entropy", optimizer=opt, epochs=3, batch_size=32, seed=seed)
    return net, part.X[part.validation], *test


# ---- calibration ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", [0, 1])
def test_calibration_is_that_of_scikit_learn(report: Report, seed: int) -> None:
    net, _, X_test, y_test = trained(seed)
    p = net.predict_proba(X_test)
    right = p.argmax(1) == y_test
    found = report["tanh"].runs[seed].calibration
    assert found is not None
    accuracy, confidence = calibration_curve(right, p.max(1), n_bins=BINS, strategy="uniform")
    some = np.array(found.counts) > 0
    assert np.allclose(np.array(found.accuracy)[some], accuracy, rtol=1e-12)
    assert np.allclose(np.array(found.confidence)[some], confidence, rtol=1e-6)
    assert np.isnan(np.array([found.accuracy, found.confidence])[:, ~some]).all()
    weights = np.array(found.counts)[some] / len(y_test)
    assert found.error == pytest.approx(float((weights * np.abs(accuracy - confidence)).sum()), rel=1e-6)
    assert found.error == pytest.approx(pynn.metrics.ece(y_test, p), rel=1e-6)
    assert found.means == pytest.approx((float(p.max(1).mean()), report["tanh"].scores[seed]), rel=1e-6)
    assert found.gap == pytest.approx(found.means[0] - found.means[1])


def test_bins_of_calibration_include_their_right_edges() -> None:
    p = np.array([0.6, 0.6 + 1e-9, 2 / 3, 1.0])
    found = Calibration.of(np.column_stack([p, 1 - p]), [0, 0, 1, 0])
    assert {i: n for i, n in enumerate(found.counts) if n} == {8: 1, 9: 2, 14: 1}
    assert found.accuracy[9] == 0.5
    assert found.error == pytest.approx(pynn.metrics.ece([0, 0, 1, 0], np.column_stack([p, 1 - p])))


def test_seeds_are_pooled_by_prediction(report: Report) -> None:
    entry = report["relu"]
    runs = [run.calibration for run in entry.runs if run.calibration is not None]
    pooled = entry.calibration
    assert pooled is not None
    assert sum(pooled.counts) == sum(sum(one.counts) for one in runs) == 2 * 449
    for name in ("confidence", "accuracy"):
        sums = [n * value for one in runs for n, value in zip(one.counts, getattr(one, name), strict=True) if n]
        total = math.fsum(n * value for n, value in zip(pooled.counts, getattr(pooled, name), strict=True) if n)
        assert total == pytest.approx(math.fsum(sums))
    assert entry.calibration_error == pytest.approx(sum(one.error for one in runs) / 2)


def test_two_classes_with_one_output_and_nets_without_probabilities() -> None:
    x, y = X[:500] / 16, (Y[:500] > 4).astype(int)
    net = pynn.Sequential(pynn.Linear(64, 1, seed=0))
    net.fit(x, y, loss="bce_with_logits", epochs=3, seed=0)
    found = calibration_of(net, x, y)
    assert found is not None
    assert found.error == pytest.approx(pynn.metrics.ece(y, net.predict_proba(x)[:, 0]), rel=1e-5)
    other = pynn.Sequential(pynn.Linear(64, 2, seed=0))
    other.fit(x, y, loss="multi_margin", epochs=1, seed=0)
    assert calibration_of(other, x, y) is None


def test_quantities_and_several_labels_have_no_calibration() -> None:
    for y in (X.sum(axis=1) + 0.5, np.stack([Y % 2, Y > 4], axis=1).astype(int)):
        report = compare(X, y, activations=["relu", "tanh"], **QUICK)
        assert report["relu"].calibration is None
        assert math.isnan(report["relu"].calibration_error)
        assert "alibration" not in str(report) + report.to_html()
        assert Report.from_json(report.to_json()).to_json() == report.to_json()


# ---- inputs of activations -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", [0, 1])
def test_inputs_of_activations_are_those_of_the_net(report: Report, seed: int) -> None:
    net, validation, _, _ = trained(seed)
    x = validation[:SAMPLE]
    assert len(validation) > SAMPLE == len(x)
    first = net[0](x)
    second = net[2](net[1](first))
    for found, layer, a in zip(report["tanh"].runs[seed].pre_activations, ("1", "3"), (first, second), strict=True):
        exact = a.astype(np.float64)
        assert found[:3] == (layer, "Tanh", a.size)
        assert found.mean == pytest.approx(exact.mean(), rel=1e-6, abs=1e-7)
        assert found.deviation == pytest.approx(exact.std(), rel=1e-6)
        assert found.quantiles == pytest.approx(np.quantile(exact, LEVELS).tolist(), rel=1e-6)


def test_gates_and_layers_of_any_kind_have_their_inputs() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    cube = pynn.Activation("cube", lambda x: x**3, lambda x: 3 * x**2)
    pair = pynn.Sequential(pynn.Linear(4, 4, seed=2), pynn.ReLU())
    for layer, width in ((pynn.SwiGLU(), 8), (pynn.MaxOut(2), 8), (cube, 4), (pynn.PReLU(), 4), (pair, 4)):
        net = pynn.Sequential(pynn.Linear(6, width, seed=0), layer, pynn.Linear(4, 2, seed=1))
        (found,) = pre_activations(net, x, layer)
        assert (found.layer, found.kind) == ("1", type(layer).__name__)
        assert found == PreActivation.of("1", type(layer).__name__, net[0](x))
    net = pynn.Sequential(pynn.ReLU(), pynn.Residual(pynn.Linear(6, 6, seed=0), "relu"), pynn.Linear(6, 2, seed=1))
    first, inner = pre_activations(net, x, pynn.ReLU())
    assert first == PreActivation.of("0", "ReLU", x)
    assert inner == PreActivation.of("1.layers.1", "ReLU", net[1].layers[0](net[0](x)))
    assert pre_activations(net, x, pynn.Tanh()) == ()


def test_inputs_are_measured_as_in_prediction() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    net = pynn.Sequential(pynn.Linear(6, 8, seed=0), pynn.BatchNorm1d(8), pynn.Dropout(0.5, seed=3), "tanh", pynn.Linear(8, 1, seed=1))
    (found,) = pre_activations(net, x, pynn.Tanh())
    assert found.mean == pytest.approx(float((net[0](x).astype(np.float64) / np.sqrt(1 + 1e-5)).mean()), rel=1e-5)


def test_numbers_that_are_not_finite_are_left_out() -> None:
    found = PreActivation.of("1", "ReLU", [1.0, math.nan, 3.0, math.inf])
    assert found[2:5] == (2, 2.0, 1.0)
    assert math.isnan(PreActivation.of("1", "ReLU", [math.nan]).quantiles[0])


def test_several_inputs_and_images_are_measured() -> None:
    def net(activation: Any, seed: int) -> pynn.Model:
        a: Any = pynn.Input(32)
        b: Any = pynn.Input(32)
        hidden = activation(pynn.Concat()(pynn.Linear(32, 4, seed=seed)(a), pynn.Linear(32, 4, seed=seed)(b)))
        return pynn.Model((a, b), pynn.Linear(8, 10, seed=seed)(hidden))

    report = compare((X[:, :32], X[:, 32:]), Y, activations=["relu"], model=net, **QUICK)
    assert [one.size for one in report["relu"].runs[0].pre_activations] == [SAMPLE * 8]


# ---- the report ----------------------------------------------------------------------------------------------------
def test_report_shows_and_stores_them(report: Report) -> None:
    text = str(report).replace("\n", " ")
    each = ", ".join(f"{entry.label} {100 * entry.calibration_error:.1f}" for entry in report)
    assert f"Expected calibration error, in points: {each}." in text
    low, high = (report["tanh"].input_quantiles()[1][k] for k in (1, -2))
    assert "Inputs of the activations, 5 % to 95 %, first and last layer: relu " in text
    assert f"and {low:.2g} to {high:.2g}." in text
    assert "ECE" in report.text("vi")
    assert "Đầu vào của hàm kích hoạt" in report.text("vi")
    again = Report.from_json(report.to_json())
    assert again.entries[0].runs[0].pre_activations == report.entries[0].runs[0].pre_activations
    assert again["tanh"].calibration_error == report["tanh"].calibration_error
    assert again.to_json() == report.to_json()
    assert again.to_html() == report.to_html()


@pytest.mark.parametrize(("lr", "word", "sign"), [(3e-4, "overconfident", 1), (3e-3, "underconfident", -1)])
def test_confidence_far_from_accuracy_is_reported(lr: float, word: str, sign: int) -> None:
    report = compare(X, Y, activations=["relu"], **{**QUICK, "lr": lr})
    calibration = report["relu"].calibration
    assert calibration is not None
    assert sign * calibration.gap > 0.05
    confidence, accuracy = calibration.means
    assert f"relu is {word}: mean confidence {confidence:.1%}, accuracy {accuracy:.1%}." in str(report).replace("\n", " ")


def test_frames_have_rows_of_layers_and_bins(report: Report) -> None:
    runs, layers, bins = (report.to_pandas(rows) for rows in ("runs", "layers", "bins"))
    assert len(runs) == 6
    assert runs["calibration_error"].tolist() == [run.calibration.error for entry in report for run in entry.runs if run.calibration]
    assert len(layers) == 12
    last = layers.iloc[-1]
    known = report["tanh"].runs[1].pre_activations[1]
    assert (last.label, last.seed, last.layer, last.kind, last["size"], last["mean"]) == ("tanh", 1, *known[:4])
    assert (last.q0, last.q5, last.q50, last.q100) == tuple(known.quantiles[k] for k in (0, 1, 3, 6))
    assert len(bins) == 6 * BINS
    first = report["relu"].runs[0].calibration
    assert first is not None
    assert bins["count"].tolist()[:BINS] == [*first.counts]
    with pytest.raises(ValueError, match="unknown rows 'run'; did you mean 'runs'"):
        report.to_pandas("run")


@pytest.mark.parametrize("lang", ["en", "vi"])
def test_page_draws_them(report: Report, lang: str) -> None:
    page = report.to_html(lang=lang)
    assert page.count('class="reference"') == 1
    assert page.count('class="band" style="--c:var(--c1)"') >= 2
    for entry in report:
        for quantiles in entry.input_quantiles():
            assert f"{quantiles[1]:.3g}, {quantiles[2]:.3g}, {quantiles[3]:.3g}" in page
        assert f"{entry.label} {100 * entry.calibration_error:.3g}%" in page
    alone = compare(X, Y, activations=["relu"], **QUICK)
    assert "<rect" in alone.to_html()

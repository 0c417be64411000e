"""pynn.lab.compare: what it compares, how it trains and tunes, and what its report holds."""

import concurrent.futures
import json
import math
import pickle
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pandas
import pytest

import pynn
from pynn._training.progress import Progress
from pynn.datasets import load_digits
from pynn.lab import Report, compare, unit_health
from pynn.lab._candidates import activation_makers
from pynn.lab._compare import _candidates
from pynn.lab._data import Data, read_target
from pynn.lab._tune import epochs_of, halving, rate_at, search

X, Y = load_digits()
QUICK: dict[str, Any] = {"hidden": (16,), "epochs": 3, "seeds": 2, "tune": None, "lr": 3e-3, "verbose": False}


def quick(X: Any = X, y: Any = Y, activations: Any = ("relu", "tanh"), **options: Any) -> Report:
    return compare(X, y, activations=activations, **{**QUICK, **options})


@pytest.fixture(scope="module")
def tuned() -> Report:
    """Return the six default activations on the digits at depth 2, tuned."""
    return compare(X, Y, hidden=(64, 64), epochs=15, scale="together", verbose=False)


# ---- what is compared -----------------------------------------------------------------------------------------------
def test_digits_are_learned_by_every_activation(tuned: Report) -> None:
    assert [entry.label for entry in tuned] == [*pynn.lab.ACTIVATIONS]
    assert tuned["relu"].score >= 0.97
    assert min(min(entry.scores) for entry in tuned) >= 0.92
    assert sum(tuned.protocol["rows"]) == 1797
    for entry in tuned:
        assert len(entry.runs) == 10
        assert 0 <= entry.dead + entry.saturated <= 1
        assert entry.cost.forward > 0
        assert entry.cost.backward > 0
        assert entry.seconds > 0
        assert 1 <= (entry.epochs_to(0.9) or 99) <= 15


def test_tuned_activations_do_not_differ_significantly(tuned: Report) -> None:
    assert tuned.verdict is not None
    assert tuned.verdict.best == pynn.lab.ACTIVATIONS
    assert "No statistically significant difference was found." in str(tuned)


def test_activations_come_in_any_form() -> None:
    cube = pynn.Activation("cube", lambda x: x**3, lambda x: 3 * x**2)
    given = [
        "relu",
        pynn.LeakyReLU(0.01),
        pynn.LeakyReLU(0.1),
        pynn.PReLU,
        pynn.SwiGLU,
        pynn.GLU(),
        pynn.MaxOut(2),
        cube,
        ("half", lambda: pynn.ELU(0.5)),
    ]
    report = quick(activations=given)
    labels = ["relu", "LeakyReLU(0.01)", "LeakyReLU(0.1)", "PReLU", "SwiGLU", "GLU", "MaxOut(num_pieces=2, dim=1)", "cube", "half"]
    assert [entry.label for entry in report] == labels
    assert all(entry.score > 0.5 for entry in report)
    relu = report["relu"].parameters
    assert report["PReLU"].parameters == relu + 1
    assert report["SwiGLU"].parameters == relu + 65 * 16
    with pytest.raises(KeyError, match="no entry 'gelu'; known: relu, "):
        report["gelu"]


def convolutional(activation: Any, seed: int) -> pynn.Sequential:
    return pynn.Sequential(pynn.Conv2d(1, 4, 3, seed=seed), activation, pynn.Flatten(), pynn.Linear(144, 10, seed=seed + 1))


def residual(activation: Any, seed: int) -> pynn.Sequential:
    inner = pynn.Residual(activation(), pynn.Linear(16, 16, seed=seed + 1))
    return pynn.Sequential(pynn.Linear(64, 16, seed=seed), inner, activation, pynn.Linear(16, 10, seed=seed + 2))


def two_outputs(activation: Any, seed: int) -> pynn.Model:
    x = pynn.Input(64)
    h = activation(pynn.Linear(64, 16, seed=seed)(x))
    return pynn.Model(x, {"digit": pynn.Linear(16, 10, seed=seed + 1)(h), "ink": pynn.Linear(16, 1, seed=seed + 2)(h)})


def test_model_builds_any_net() -> None:
    report = quick(X.reshape(-1, 1, 8, 8), activations=["relu", pynn.PReLU], model=convolutional, epochs=5)
    assert all(entry.score > 0.6 for entry in report)
    assert "Net: model=convolutional." in str(report)
    assert all(entry.score > 0.6 for entry in quick(activations=["relu", pynn.PReLU], model=residual, epochs=5))
    report = quick(y={"digit": Y, "ink": X.sum(axis=1)}, model=two_outputs, epochs=8, lr=1e-2)
    assert report.metric == "score"
    assert all(entry.score > 0.8 for entry in report)


def test_each_use_of_the_activation_is_a_separate_layer() -> None:
    (maker,) = activation_makers([pynn.PReLU()])
    net = pynn.Sequential(pynn.Linear(2, 3, seed=0), maker, pynn.Linear(3, 3, seed=0), maker())
    assert net[1] is not net[3]
    net[1].weight[:] = 7
    assert net[3].weight[0] == 0.25


@pytest.mark.parametrize(
    ("name", "values", "labels"),
    [
        ("optimizer", ["sgd", pynn.optim.Adam(lr=1e-2), pynn.optim.RMSprop], ["sgd", "Adam(lr=0.01)", "RMSprop"]),
        ("init", ["auto", "shared", "orthogonal"], ["auto", "shared", "orthogonal"]),
        ("norm", [None, "batch", "layer", "rms"], ["None", "batch", "layer", "rms"]),
        ("hidden", [(8,), (8, 8)], ["(8,)", "(8, 8)"]),
        ("depth", [1, 3], ["1", "3"]),
        ("loss", ["cross_entropy", "focal"], ["cross_entropy", "focal"]),
        ("batch_size", [16, 64], ["16", "64"]),
    ],
)
def test_vary_compares_other_settings(name: str, values: list[Any], labels: list[str]) -> None:
    report = compare(X, Y, vary={name: values}, **QUICK)
    assert [entry.label for entry in report] == [f"{name} {label}" for label in labels]
    if name != "init":
        assert len({entry.scores for entry in report}) == len(labels)
    assert report.protocol["what"] == name
    assert len({entry.steps for entry in report}) == (2 if name == "batch_size" else 1)


# ---- targets ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("y", "task", "found", "outputs"),
    [
        (Y, "auto", "classes", 10),
        (Y.astype(float), "auto", "classes", 10),
        (np.array(list("abcdefghij"))[Y], "auto", "classes", 10),
        (pandas.Series(list("abcdefghij"))[Y], "auto", "classes", 10),
        (pandas.DataFrame({"t": pandas.Categorical(Y)}), "auto", "classes", 10),
        (pandas.Series(Y, dtype="Int64"), "auto", "classes", 10),
        (Y > 4, "auto", "classes", 2),
        (np.eye(10)[Y], "auto", "classes", 10),
        (np.stack([Y % 2, Y > 4], axis=1).astype(int), "auto", "multilabel", 2),
        (np.stack([Y % 2, Y > 4], axis=1).astype(int), "quantity", "quantity", 2),
        (Y + 0.5, "auto", "quantity", 1),
        (np.arange(1797), "auto", "quantity", 1),
        (np.arange(1797) // 20, "auto", "quantity", 1),
        (np.arange(1797) // 20, "classes", "classes", 90),
        (Y, "quantity", "quantity", 1),
        (X[:, 20:22] + 0.5, "auto", "quantity", 2),
    ],
)
def test_the_task_follows_from_the_values(y: Any, task: str, found: str, outputs: int) -> None:
    target = read_target(y, task)
    assert (target.task, target.outputs, len(target.y)) == (found, outputs, 1797)


@pytest.mark.parametrize("y", [X.sum(axis=1) * 3 + 1000, np.stack([X.sum(axis=1), X[:, 20] + 0.5], axis=1)], ids=["one", "two"])
def test_quantities_are_scored_by_r2(y: np.ndarray) -> None:
    report = quick(y=y, epochs=8, lr=1e-2)
    assert report.metric == "R2"
    assert all(entry.score > 0.8 for entry in report)
    assert abs(report.baseline) < 0.05


def test_multilabel_targets_are_scored_by_accuracy() -> None:
    report = quick(y=np.stack([Y % 2, Y > 4], axis=1).astype(int), epochs=8, lr=1e-2)
    assert report.metric == "accuracy"
    assert all(entry.score > 0.9 > 0.6 > report.baseline for entry in report)


def test_frames_are_compared_as_arrays() -> None:
    assert quick(pandas.DataFrame(X), pandas.Series(Y)).to_json(timings=False) == quick().to_json(timings=False)


# ---- fairness --------------------------------------------------------------------------------------------------------
def test_runs_are_paired_by_seed() -> None:
    report = quick(activations=[("a", "tanh"), "relu", ("b", "tanh")], seeds=3)
    assert report["a"].scores == report["b"].scores != report["relu"].scores
    assert len({*report["a"].scores}) > 1
    assert [run.seed for run in report["a"].runs] == [0, 1, 2]


def data(**options: Any) -> Data:
    given: dict[str, Any] = {"task": "auto", "scale": "auto", "test_size": 0.25, "validation_size": 0.15, "seed": 0, "has_model": False}
    return Data(options.pop("X", X), Y, **{**given, **options})


def test_validation_rows_are_never_tested_or_trained_on() -> None:
    split = data()
    parts = [split.split(seed) for seed in range(5)]
    for train, test in parts:
        assert sorted([*train, *test, *split.validation]) == [*range(1797)]
    assert len({tuple(test) for _, test in parts}) == 5
    counts = np.bincount(Y[parts[0][1]]) / np.bincount(Y)
    assert np.ptp(counts) < 0.03


def test_inputs_are_scaled_by_the_training_rows_alone() -> None:
    split = data()
    train, test = split.split(0)
    part = split.part(0)
    inner = part.X[part.train].astype(np.float64)
    varies = X[train].std(axis=0) > 0
    assert np.allclose(inner.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(inner.std(axis=0)[varies], 1, atol=1e-6)
    wild = X.copy()
    wild[test] *= 1000
    assert np.array_equal(data(X=wild).part(0).X, part.X)
    images = data(scale="together").part(0)
    inner = images.X[images.train].astype(np.float64)
    assert math.isclose(inner.std(), 1, abs_tol=1e-6)
    assert inner.std(axis=0)[varies].min() < 0.1


def test_missing_values_are_filled_by_the_training_rows_alone() -> None:
    holed = X.copy()
    holed[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    split = data(X=holed, missing="mean", scale="none")
    train, test = split.split(0)
    part = split.part(0)
    means = np.nanmean(holed[train], axis=0)
    lost = np.isnan(holed[train])
    filled = part.X[part.train]
    assert np.allclose(filled[lost], np.broadcast_to(means, lost.shape)[lost], rtol=1e-6)
    assert np.array_equal(filled[~lost], X[train][~lost])
    assert np.isfinite(split.test_part(0)[0]).all()
    wild = holed.copy()
    wild[test] *= 1000
    assert np.array_equal(data(X=wild, missing="mean", scale="none").part(0).X, part.X)
    holed[:, 3] = np.nan
    assert (data(X=holed, missing="mean").part(0).X[:, 3] == 0).all()
    report = quick(holed, missing="mean", epochs=6)
    assert report["relu"].score > 0.7
    assert "missing values replaced by the mean of the training rows" in str(report).replace("\n", " ")
    frame = pandas.DataFrame(holed[:, :5]).assign(c=list("ab") * 898 + ["a"])
    assert quick(frame, missing="mean")["relu"].score > 0.1
    with pytest.raises(ValueError, match="values are missing"):
        quick(frame)


def test_the_test_part_is_read_once_per_seed_and_last(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    part, test_part = Data.part, Data.test_part
    monkeypatch.setattr(Data, "part", lambda self, seed: events.append(f"train {seed}") or part(self, seed))
    monkeypatch.setattr(Data, "test_part", lambda self, seed: events.append(f"test {seed}") or test_part(self, seed))
    quick(tune="lr")
    assert [event for event in events if "test" in event] == ["test 0", "test 1"]
    assert events[-4:] == ["train 0", "test 0", "train 1", "test 1"]


def test_test_rows_change_nothing_but_the_scores() -> None:
    test = data().split(0)[1]
    changed = X.copy()
    changed[test] = X[test][::-1] + 1
    a, b = quick(seeds=1, tune="lr"), quick(changed, seeds=1, tune="lr")
    for one, other in zip(a, b, strict=True):
        assert one.lr == other.lr
        assert one.runs[0].history == other.runs[0].history
        assert one.scores != other.scores


def test_rates_are_searched_with_the_same_budget_until_the_best_is_inside() -> None:
    calls: list[tuple[str, float]] = []
    given = {"activations": ["relu", "sigmoid"], "vary": None, "model": None, "optimizer": "adam", "init": "auto"}
    options = {"norm": None, "hidden": (16,), "loss": None, "batch_size": 32}
    split = data()

    def train(runs: Any, part: Any, budget: Any, what: str) -> Any:
        calls.extend((run.name.split(",")[0], run.optimizer.defaults["lr"]) for run in runs)
        return pynn.fit_many(runs, part.X, part.y, loss="cross_entropy", budget=budget, verbose=False)

    more: list[int] = []
    found = search(_candidates(given | options, split), split, [0], lr=1e-5, epochs=3, train=train, expect=more.append)
    assert sum(more) == 2 * (found.epochs - epochs_of(7, 3))
    relu, sigmoid = (sorted(rate for name, rate in calls if name == label) for label in ("relu", "sigmoid"))
    assert relu == sigmoid == [*found.rates]
    assert len(relu) > 7
    steps = np.diff(np.log10(found.rates))
    assert np.allclose(steps, 1 / 3, atol=1e-3)
    assert found.at_border == (False, False)
    assert all(found.rates[0] < rate < found.rates[-1] for rate in found.chosen)
    assert min(found.chosen) > 1e-4


def test_budget_of_halving_is_counted() -> None:
    assert halving(30).rungs(30) == [4, 12]
    assert epochs_of(7, 30) == 7 * 4 + 3 * 8 + 1 * 18
    assert epochs_of(1, 30) == 30
    assert rate_at(1e-3, -3) == 1e-4


def test_the_winner_of_the_digits_does_not_depend_on_the_base_rate(tuned: Report) -> None:
    report = compare(X, Y, activations=["relu", "sigmoid"], hidden=(64, 64), epochs=15, scale="together", lr=3e-2, seeds=8, verbose=False)
    for entry in report:
        assert abs(entry.score - tuned[entry.label].score) < 0.01
    assert report.verdict is not None
    assert report.verdict.best == ("relu", "sigmoid")


def test_shared_weights_are_equal_and_others_follow_the_activation() -> None:
    made: list[pynn.Sequential] = []

    def build(activation: Any, seed: int) -> pynn.Sequential:
        net = pynn.Sequential(pynn.Linear(64, 16, seed=seed), activation, pynn.Linear(16, 10, seed=seed + 1))
        made.append(net)
        return net

    for init in ("shared", "auto"):
        quick(model=build, init=init, epochs=1, seeds=1, lr=1e-12)
    weights = [net[0].weight for net in made]
    assert np.allclose(*weights[:2], atol=1e-6)
    assert not np.allclose(*weights[2:], atol=1e-2)


# ---- truth -----------------------------------------------------------------------------------------------------------
def test_nothing_is_learnt_from_permuted_labels() -> None:
    wrong = 0
    for k in range(6):
        y = np.random.default_rng(k).permutation(Y)
        report = quick(y=y, activations=["relu", "tanh", "gelu"], seeds=8, hidden=(8,), epochs=2, seed=100 * k)
        assert report.verdict is not None
        wrong += bool(report.verdict.different)
        assert "No net learnt anything" in str(report)
    assert wrong <= 1


def test_a_planted_winner_is_found() -> None:
    rng = np.random.default_rng(0)
    x = 3 * rng.normal(size=(1500, 4))
    y = np.tanh(x @ rng.normal(size=(4, 3))) @ np.array([1.0, -1.0, 1.0])
    report = compare(x, y, activations=["relu", "tanh"], hidden=(3,), epochs=40, seeds=8, verbose=False)
    assert report.verdict is not None
    assert report.verdict.best == ("tanh",)
    assert "tanh is better than relu by " in str(report)


def test_a_deep_sigmoid_net_is_explained_by_its_gradients() -> None:
    report = quick(activations=["relu", "sigmoid"], hidden=(32,) * 10, seeds=6, epochs=4, lr=1e-3)
    text = str(report).replace("\n", " ")
    assert "sigmoid at depth 10: gradients shrink " in text
    assert "relu at depth 10: gradients" not in text
    assert "Not better than always predicting the most frequent class" in text
    ratio = report["sigmoid"].gradient_ratio()
    assert ratio is not None
    assert ratio > 1e4


def test_health_is_that_of_the_same_run() -> None:
    report = quick(seeds=1, init="shared")
    split = data()
    part = split.part(0)
    s1, s2 = np.random.SeedSequence(0).generate_state(2).tolist()
    net = pynn.Sequential(pynn.Linear(64, 16, seed=s1), "tanh", pynn.Linear(16, 10, seed=s2))
    rows = part.train
    opt = pynn.optim.Adam(lr=3e-3)
    hist = net.fit(part.X[rows], part.y[rows], loss="cross_entropy", optimizer=opt, epochs=3, batch_size=32, seed=0)
    run = report["tanh"].runs[0]
    assert run.history["loss"] == hist.history["loss"]
    assert run.history["saturated"][-1] == unit_health_of(net)[1]
    assert run.health is not None
    assert np.array_equal(np.array([row[2:-1] for row in run.health]), np.array([row[2:-1] for row in net.health()]), equal_nan=True)
    assert report["tanh"].saturated == unit_health_of(net)[1]


def unit_health_of(net: pynn.Sequential) -> tuple[float, float]:
    rows = [row for row in net.health() if row.units]
    units = sum(row.units for row in rows)
    return sum(row.dead * row.units for row in rows) / units, sum(row.saturated * row.units for row in rows) / units


def test_health_counts_dead_and_saturated_units() -> None:
    x = np.linspace(-1, 1, 100, dtype=np.float32)[:, None]
    model = pynn.Sequential(pynn.Linear(1, 4), pynn.ReLU(), pynn.Linear(4, 4), pynn.Sigmoid(), pynn.Linear(4, 1))
    model[0].weight[:] = np.ones((4, 1))
    model[0].bias[:] = [-5, -0.99, 0, 5]  # dead, positive on one sample only, half, always on
    model[2].weight[:] = 0
    model[2].bias[:] = [-10, 0, 1, 10]  # both ends are flat
    assert unit_health(model, x) == (1 / 8, 3 / 8)
    assert unit_health(pynn.Sequential(pynn.Linear(1, 4)), x) == (0, 0)


# ---- executors ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tune", [None, "lr"])
def test_executors_give_the_same_report(tune: str | None) -> None:
    given: dict[str, Any] = {"activations": ["relu", pynn.SwiGLU], "tune": tune, "seeds": 2}
    local = quick(**given)
    names: list[str] = []

    class Counting(concurrent.futures.ThreadPoolExecutor):
        def submit(self, fn: Any, /, task: Any, *rest: Any, **named: Any) -> Any:
            names.append(task.title)
            return super().submit(fn, task, *rest, **named)

    with Counting(2) as executor:
        threads = quick(executor=executor, n_jobs=1, **given)
    assert len(names) == 4
    assert threads.to_json(timings=False) == local.to_json(timings=False)
    assert quick(executor="loky", n_jobs=2, **given).to_json(timings=False) == local.to_json(timings=False)
    assert threads.rerun().to_json() == threads.to_json()


def test_progress_counts_the_epochs_of_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    advance = Progress.advance
    monkeypatch.setattr(Progress, "advance", lambda self, n, *rest: counts.append(n) or advance(self, n, *rest))
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        quick(executor=executor, verbose=1)
    assert sum(counts) == 12


def test_wrong_executors_are_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynn.lab._tune.fit_many", None)
    with pytest.raises(TypeError, match=r"executor: expected the name of a joblib backend, .*, got 3"):
        quick(executor=3)


# ---- the report ------------------------------------------------------------------------------------------------------
def test_text_fits_79_columns() -> None:
    long = [("a label that is so long that no table would hold it, whatever else there is", "relu"), "tanh"]
    for report in (quick(activations=long, seeds=6), quick(activations=["relu"]), quick(y=X.sum(axis=1) + 0.5)):
        assert max(map(len, str(report).splitlines())) <= 79
        assert max(map(len, report.text("vi").splitlines())) <= 79
        assert "baseline" in str(report)


def test_protocol_describes_the_comparison() -> None:
    report = quick(tune="lr", seeds=2)
    text = str(report).replace("\n", " ")
    assert "Target: 10 classes (0 178, 1 182, 2 177, 3 183, ...). Rows: 1,078 for training, 270 for validation, 449 for testing." in text
    assert "Net: 64-16-10. 2 seeds (0 to 1); inputs scaled by column; initial weights chosen by activation." in text
    tuning = report.protocol["tuning"]
    assert f"{tuning['trials']} trials, {tuning['steps']:,} steps" in text
    assert "Budget of each candidate: 3 epochs, 102 steps per seed, batches of 32, Adam." in text
    call = "pynn.lab.compare(X, y, activations=('relu', 'tanh'), hidden=(16,), epochs=3, lr=0.003, seeds=2)"
    assert report.protocol["call"] == call
    again = eval(call, {"pynn": pynn, "X": X, "y": Y})
    assert again.to_json(timings=False) == report.to_json(timings=False)
    assert report.protocol["digest"] != quick(X + 1, epochs=1, seeds=1).protocol["digest"]


def test_rerun_gives_the_same_bytes() -> None:
    report = quick(tune="lr", activations=["relu", pynn.SwiGLU])
    assert report.rerun().to_json() == report.to_json()
    assert quick(tune="lr", activations=["relu", pynn.SwiGLU], n_jobs=1).to_json(timings=False) == report.to_json(timings=False)


def test_json_holds_everything(tmp_path: Any) -> None:
    report = quick(seeds=6)
    text = report.to_json(tmp_path / "r.json")
    assert json.loads(text)["metric"] == "accuracy"
    for source in (text, tmp_path / "r.json", str(tmp_path / "r.json")):
        again = Report.from_json(source)
        assert str(again) == str(report)
        assert again.to_json() == text
    with pytest.raises(ValueError, match=r"repeat the call instead: pynn.lab.compare\(X, y, "):
        again.rerun()
    with pytest.raises(ValueError, match="text: not a report of"):
        Report.from_json("{}")


def test_pickle_keeps_all_but_the_data() -> None:
    report = quick(seeds=6)
    again = pickle.loads(pickle.dumps(report))
    assert again.to_json() == report.to_json()
    assert again.to_html() == report.to_html()
    with pytest.raises(ValueError, match="read from JSON or pickle"):
        again.rerun()


def test_units_are_counted_in_every_epoch() -> None:
    report = quick(activations=["tanh", ("never", lambda: pynn.Threshold(1e9, 0.0))])
    assert [run.history["dead"] for run in report["never"].runs] == [[1.0] * 3] * 2
    assert [run.history["dead"] for run in report["tanh"].runs] == [[0.0] * 3] * 2
    assert report["never"].dead == 1
    assert "never: 100% of the hidden units are dead, the most in layer 1 (100%)." in str(report)


@pytest.mark.parametrize(
    ("reached", "middle"),
    [([4], 4), ([9, 2, 4], 4), ([3, 4], 4), ([3, None, 8], 8), ([3, None], None), ([3, None, None], None)],
)
def test_an_entry_holds_means_and_the_median_epoch(tuned: Report, reached: list[int | None], middle: int | None) -> None:
    first = tuned["relu"].runs[0]
    accuracies = [[float(epoch == goal) for epoch in range(1, 10)] for goal in reached]
    runs = [
        replace(first, score=0.5 + i / 8, loss=2.0 * i, seconds=0.5 + i, history={"val_accuracy": values})
        for i, values in enumerate(accuracies)
    ]
    entry = replace(tuned["relu"], runs=tuple(runs))
    mean = (len(runs) - 1) / 2
    assert entry.scores == tuple(0.5 + i / 8 for i in range(len(runs)))
    assert (entry.score, entry.loss, entry.seconds) == pytest.approx((0.5 + mean / 8, 2 * mean, 0.5 + mean))
    assert entry.epochs_to(0.9) == middle
    assert entry.deviation == pytest.approx(np.std(entry.scores, ddof=1) if len(runs) > 1 else 0.0)


def test_frame_has_a_row_per_training() -> None:
    report = quick(seeds=3)
    frame = report.to_pandas()
    assert len(frame) == 6
    assert frame.groupby("label")["score"].mean()["relu"] == pytest.approx(report["relu"].score)
    assert [*frame.columns[:5]] == ["label", "seed", "score", "baseline", "loss"]


def test_plot_shows_every_seed() -> None:
    report = quick(seeds=3)
    scores, curves = report.plot().axes
    dots = [line for line in scores.lines if line.get_marker() == "o"]
    assert [tuple(line.get_xdata()) for line in dots] == [entry.scores for entry in report]
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["relu", "tanh"]


def test_few_seeds_or_one_entry_give_no_verdict() -> None:
    assert "No verdict is possible with 2 seeds; use at least 6." in str(quick())
    assert quick(activations=["relu"]).verdict is None


def test_diverged_trainings_are_reported() -> None:
    report = quick(activations=[("wild", lambda: pynn.Exponential())], lr=1e6, hidden=(16, 16), seeds=2)
    assert report["wild"].diverged == 2
    assert "wild: 2 of 2 training runs diverged." in str(report)
    assert np.isfinite(report["wild"].scores).all()


def test_interrupt_keeps_the_finished_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Data.part

    def stopping(self: Data, seed: int) -> Any:
        if seed == 2:
            raise KeyboardInterrupt
        return part(self, seed)

    monkeypatch.setattr(Data, "part", stopping)
    with pytest.raises(KeyboardInterrupt) as stopped:
        quick(seeds=4)
    assert [run.seed for run in stopped.value.report["relu"].runs] == [0, 1]
    assert threading.active_count() < 10


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"X": np.zeros(4), "y": np.zeros(4, int)}, r"at least two classes; it holds \[0\]"),
        ({"X": np.zeros((4, 2)), "y": np.zeros(3, int) + np.arange(3) // 2}, "the same number of rows; got 4 and 3"),
        ({"X": np.full((40, 2), np.nan), "y": np.arange(40) % 2}, "X must be finite.*missing='mean' fills nan"),
        ({"X": np.full((40, 2), np.inf), "y": np.arange(40) % 2, "missing": "mean"}, "X must be finite; it holds nan or infinity$"),
        ({"missing": "drop"}, "unknown missing 'drop'; known: error, mean"),
        ({"y": np.where(Y > 8, np.nan, Y)}, "y must be finite"),
        ({"y": pandas.Series(Y, dtype="Int64").mask(Y > 8)}, "y: 180 values are missing"),
        ({"y": np.ones(1797) + 0.5}, r"every value is .*1.5.* nothing to predict"),
        ({"y": [Y, Y]}, "y: 2 targets need a net with as many outputs; pass model="),
        ({"task": "multilabel"}, r"'multilabel' needs y of shape \(n, k\)"),
        ({"task": "clases"}, "unknown task 'clases'; did you mean 'classes'"),
        ({"scale": "rows"}, "scale: expected 'auto', 'columns', 'together' or 'none', got 'rows'"),
        ({"test_size": 1.0}, "test_size: expected a number between 0 and 1, got 1.0"),
        ({"test_size": 0.9}, "their sum must be below 1 to leave rows to train on, got 0.9 and 0.15"),
        ({"seeds": 0}, "seeds: expected an integer of 1 or more"),
        ({"activations": ["rleu"]}, "unknown activation 'rleu'; did you mean 'relu'"),
        ({"activations": ["relu", "relu"]}, r"two entries have the label 'relu'; give \(label, value\) pairs"),
        ({"activations": []}, "activations: expected at least one"),
        ({"activations": [pynn.PReLU(5)]}, "does not return 16 outputs"),
        ({"vary": {"foo": [1]}, "activations": None}, "unknown vary 'foo'; known: optimizer"),
        ({"vary": {"depth": [1]}}, "with vary= expected a single one, got 2"),
        ({"norm": "bach"}, "unknown norm 'bach'; did you mean 'batch'"),
        ({"hidden": [0]}, "hidden: expected an integer of 1 or more"),
        ({"tune": "rate"}, "unknown tune 'rate'"),
        ({"lr": -1.0}, "lr: expected a number over 0, got -1.0"),
    ],
)
def test_wrong_input_is_explained(changed: dict[str, Any], says: str) -> None:
    given = {"X": X, "y": Y, "activations": ["relu", "tanh"], **QUICK, **changed}
    with pytest.raises(ValueError, match=says):
        compare(**given)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"activations": "relu"}, r"write \['relu'\]"),
        ({"activations": [pynn.relu]}, "relu must return a layer when called without arguments; write 'relu'"),
        ({"activations": [3]}, "expected a name, a layer, a function that returns one"),
        ({"model": 3}, "model: expected a function"),
        ({"model": lambda activation, seed: None}, "expected a function that returns a Sequential or a Model, got None"),
    ],
)
def test_wrong_types_are_explained(changed: dict[str, Any], says: str) -> None:
    given = {"X": X, "y": Y, "activations": ["relu", "tanh"], **QUICK, **changed}
    with pytest.raises(TypeError, match=says):
        compare(**given)

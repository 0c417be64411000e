"""python -m pynn and the laboratory behind it."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.__main__ import main
from pynn.datasets import load_digits, train_test_split
from pynn.lab import Comparison, Row, compare, unit_health
from pynn.lab._compare import _Data, _row, _Run


def blobs(samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(samples) % 3
    return rng.normal(size=(samples, 4)) + 3 * np.eye(4)[y], y


def write(path: Path, X: np.ndarray, y: np.ndarray) -> str:
    rows = [",".join([*map(str, x), str(t)]) for x, t in zip(X.tolist(), y.tolist(), strict=True)]
    path.write_text("\n".join(["a,b,c,d,t", *rows]))
    return str(path)


def test_digits_are_learned_by_every_activation() -> None:
    result = compare(*load_digits(), scale="together", seeds=5)
    assert [row.activation for row in result.rows] == ["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"]
    # One seed says little: over 40 of them ReLU's mean was 97.9 %, its deviation 0.6 % and its least 96.2 %.
    assert result.rows[0].score >= 0.97
    assert min(min(row.scores) for row in result.rows) >= 0.95
    assert result.train_samples + result.test_samples == 1797
    for row in result.rows:
        assert 0 <= row.dead + row.saturated <= 1
        assert row.ns_per_element > 0
        assert row.seconds > 0
        assert row.epochs_to_target is None or 1 <= row.epochs_to_target <= 30


def test_each_seed_decides_one_run_of_every_activation() -> None:
    X, _ = blobs()

    def run(seeds: int, seed: int) -> list[tuple[float, ...]]:
        result = compare(X, X[:, 0], activations=["tanh", "relu", "tanh"], hidden=[8], epochs=3, seeds=seeds, seed=seed)
        assert result.seeds == tuple(range(seed, seed + seeds))
        return [row.scores for row in result.rows]

    together = run(3, 1)
    assert together == [sum(scores, ()) for scores in zip(run(1, 1), run(1, 2), run(1, 3), strict=True)]
    assert together[0] == together[2] != together[1]
    assert len(set(together[0])) == 3
    with pytest.raises(ValueError, match="seeds must be at least 1; got 0"):
        run(0, 1)


def test_callback_hears_of_every_epoch() -> None:
    heard: list[tuple[str, int, int]] = []
    names = ["relu", "tanh"]
    compare(*blobs(), activations=names, hidden=[8], epochs=3, seeds=2, seed=7, callback=lambda *call: heard.append(call))
    assert heard == [(name, seed, epoch) for seed in (7, 8) for name in names for epoch in (1, 2, 3)]


def test_quantities_are_scored_by_r2() -> None:
    X, _ = blobs(400)
    result = compare(X, 1e4 + 500 * X[:, 0], activations=["relu"], hidden=[16], lr=0.01, target=0.8, seeds=2)
    assert result.metric == "R2"
    (row,) = result.rows
    assert row.score > 0.9
    assert row.epochs_to_target is not None


def test_labels_may_be_text() -> None:
    X, y = blobs()
    result = compare(X, np.array(["x", "y", "z"])[y], activations=["relu"], hidden=[8], lr=0.01, seeds=2)
    assert result.rows[0].score > 0.8


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (np.zeros(4), np.zeros(4, int), r"X must have shape \(n, d\) and y \(n,\); got \(4,\) and \(4,\)"),
        (np.zeros((4, 2)), np.zeros(4, int), r"at least two classes; it holds \[0\]"),
        (np.full((4, 2), np.nan), np.arange(4) % 2, "X must be finite"),
        (np.zeros((4, 2)), np.array([0.5, np.inf, 1, 2]), "y must be finite"),
    ],
)
def test_comparison_explains_bad_input(X: np.ndarray, y: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compare(X, y, test_size=0.5)


def test_scale_is_by_columns_or_together() -> None:
    X, y = blobs()
    X[:, 0] *= 1000
    assert np.allclose(_Data(X, y, 0.25, 0, axis=0).X_train.std(axis=0), 1, atol=1e-5)
    together = _Data(X, y, 0.25, 0, axis=None).X_train
    assert np.isclose(together.std(), 1, atol=1e-5)
    assert together[:, 1].std() < 0.1
    with pytest.raises(ValueError, match="expected 'columns' or 'together', got 'rows'"):
        compare(X, y, scale="rows")  # type: ignore[arg-type]


def test_health_counts_dead_and_saturated_units() -> None:
    X = np.linspace(-1, 1, 100, dtype=np.float32)[:, None]
    model = pynn.Sequential(pynn.Linear(1, 4), pynn.ReLU(), pynn.Linear(4, 4), pynn.Sigmoid(), pynn.Linear(4, 1))
    model[0].weight[:] = np.ones((4, 1))
    model[0].bias[:] = [-5, -0.99, 0, 5]  # dead, positive on one sample only, half, always on
    model[2].weight[:] = 0
    model[2].bias[:] = [-10, 0, 1, 10]  # both ends are flat
    assert unit_health(model, X) == (1 / 8, 3 / 8)
    assert unit_health(pynn.Sequential(pynn.Linear(1, 4)), X) == (0, 0)


def row(activation: str, *scores: float, **changes: float | None) -> Row:
    return Row(**{"activation": activation, "scores": scores, "loss": 0.5, "epochs_to_target": 3, "dead": 0.0, "saturated": 0.0,
                  "ns_per_element": 0.25, "seconds": 1.0, **changes})  # type: ignore[arg-type]  # fmt: skip


def table(*rows: Row, metric: str = "accuracy") -> Comparison:
    return Comparison(rows, metric, 0.95, tuple(range(len(rows[0].scores))), (4, 8, 3), 300, 100)


@pytest.mark.parametrize(
    ("reached", "middle"),
    [([4], 4), ([9, 2, 4], 4), ([3, 4], 4), ([3, math.inf, 8], 8), ([3, math.inf], None), ([3, math.inf, math.inf], None)],
)
def test_a_row_holds_means_and_the_median_epoch(reached: list[float], middle: int | None) -> None:
    made = _row("relu", [_Run(0.5 + i / 8, 2.0 * i, epoch, i / 4, i / 8, 0.5) for i, epoch in enumerate(reached)])
    mean = (len(reached) - 1) / 2
    assert made.scores == tuple(0.5 + i / 8 for i in range(len(reached)))
    assert (made.score, made.loss, made.dead, made.saturated) == pytest.approx((0.5 + mean / 8, 2 * mean, mean / 4, mean / 8))
    assert made.seconds == 0.5
    assert made.epochs_to_target == middle
    assert made.deviation == pytest.approx(np.std(made.scores, ddof=1) if len(reached) > 1 else 0.0)


def test_result_is_a_table_html_and_plain_data() -> None:
    result = table(row("relu", 0.98), row("tanh", 0.5, epochs_to_target=None, saturated=0.25))
    header, rule, *body = str(result).splitlines()
    assert {len(line) for line in (header, rule, *body)} == {len(rule)}
    assert "epochs to 95%" in header
    assert body[0].split() == ["relu", "98.0%", "0.5000", "3", "0.0%", "0.0%", "0.25", "1.00"]
    assert body[1].split()[3] == "-"
    assert result._repr_html_().count("<tr>") == 3
    several = table(row("relu", 0.97, 0.98, 0.99), row("tanh", 0.5, 0.5, 0.5))
    assert "98.0% ± 1.0 " in str(several)
    assert " 0.980 ± 0.010 " in str(table(*several.rows, metric="R2"))
    plain = json.loads(json.dumps(several.to_dict()))
    assert plain["seeds"] == [0, 1, 2]
    assert plain["rows"][0]["activation"] == "relu"
    assert plain["rows"][0]["scores"] == [0.97, 0.98, 0.99]
    assert [plain["rows"][0][key] for key in ("score", "deviation")] == pytest.approx([0.98, 0.01])


def test_summary_claims_no_more_than_the_samples_tell() -> None:
    near = table(row("relu", 0.98), row("silu", 0.97), row("tanh", 0.5))
    assert "can't tell it from silu" in near.summary()
    assert "tanh" not in near.summary().partition("First")[0]
    far = table(row("relu", 0.98), row("tanh", 0.5, dead=0.5))
    assert "can't tell" not in far.summary()
    assert "tanh, 50.0%" in far.summary()
    assert "One seed can't rank" in table(row("relu", 0.98), row("tanh", 0.5), metric="R2").summary()
    assert "no score is a finite number" in table(row("relu", math.nan), metric="R2").summary()


@pytest.mark.parametrize("metric", ["accuracy", "R2"])
def test_summary_compares_seed_by_seed(metric: str) -> None:
    best = row("relu", 0.90, 0.94, 0.98)
    steady = row("silu", 0.89, 0.93, 0.97)  # always 0.01 less, although the deviation is four times that
    unsteady = row("gelu", 0.96, 0.93, 0.90)  # 0.01 less on average, but more than the best on one seed
    lost = row("tanh", 0.5, math.nan, 0.5)
    words = table(best, steady, unsteady, lost, metric=metric).summary().partition("First")[0]
    assert words.startswith("relu scored best: ")
    assert "3 seeds can't tell it from gelu." in words
    assert "can't" not in table(best, steady, metric=metric).summary()
    assert "from gelu and silu" in table(best, row("gelu", *best.scores), row("silu", *best.scores), metric=metric).summary()


def test_command_line_compares_on_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "t.csv", *blobs())
    assert main(["--data", file, "--target", "t", "--activations", "relu, mish", "--hidden", "8,8", "--epochs", "4"]) == 0
    out, err = capsys.readouterr()
    assert "150 samples to learn from, 50 to test on\nnet 4-8-8-3, 4 epochs, batch size 32, 10 seeds (0 to 9)\n" in out
    assert main(["--data", file, "--target", "t", "--activations", "relu", "--epochs", "1", "--seeds", "1", "--seed", "3"]) == 0
    assert "batch size 32, seed 3\n" in capsys.readouterr().out
    assert "\nrelu " in out
    assert "\nmish " in out
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "t.csv"], "--data and --target belong together"),
        (["--epochs", "0"], "'0' is not a positive whole number"),
        (["--epochs", "1.5"], "'1.5' is not a positive whole number"),
        (["--lr", "nan"], "'nan' is not a positive number"),
        (["--hidden", "8,,8"], "'' is not a positive whole number"),
        (["--seeds", "0"], "'0' is not a positive whole number"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
    ],
)
def test_command_line_explains_wrong_options(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_command_line_explains_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.csv"), "--target", "t"]) == 2
    assert "none.csv" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("age,t\nabc,1\n")
    assert main(["--data", str(tmp_path / "t.csv"), "--target", "t"]) == 2
    assert "line 2, column 'age': 'abc' is not a number" in capsys.readouterr().err
    assert main(["--activations", "reul"]) == 2
    assert "did you mean 'relu'" in capsys.readouterr().err


def test_help_explains_with_examples() -> None:
    done = subprocess.run([sys.executable, "-m", "pynn", "--help"], capture_output=True, text=True, check=True)
    for word in ("examples:", "--data", "--target", "--seeds", "dead"):
        assert word in done.stdout
    assert done.stderr == ""


def test_a_terminal_without_plus_minus_still_gets_its_text() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "pynn", "--help"], capture_output=True, text=True, check=True, env=environment)
    assert "mean ? standard deviation" in done.stdout


def test_inputs_are_scaled_by_the_training_part_alone() -> None:
    X, y = blobs()
    kept = train_test_split(X, y)[1]
    wild = np.where(np.isin(X[:, :1], kept[:, :1]), 1e6 * X, X)
    tame, other = _Data(X, y, 0.25, 0), _Data(wild, y, 0.25, 0)
    assert np.array_equal(tame.X_train, other.X_train)
    assert not np.array_equal(tame.X_test, other.X_test)
    assert np.allclose(tame.X_train.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(tame.X_train.std(axis=0), 1, atol=1e-6)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, message in (("/dev/zero", "not a regular file"), (str(tmp_path), "directory")):
        assert main(["--data", path, "--target", "y"]) == 2
        assert message in capsys.readouterr().err

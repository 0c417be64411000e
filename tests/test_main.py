"""The command line, python -m pynn."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pynn.__main__ import main


def blobs(samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(samples) % 3
    return rng.normal(size=(samples, 4)) + 3 * np.eye(4)[y], y


def write(path: Path, X: np.ndarray, y: np.ndarray) -> str:
    rows = [",".join([*map(str, x), str(t)]) for x, t in zip(X.tolist(), y.tolist(), strict=True)]
    path.write_text("\n".join(["a,b,c,d,t", *rows]))
    return str(path)


def test_command_line_compares_activations_on_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "t.csv", *blobs())
    small = ["--hidden", "8,8", "--epochs", "4", "--seeds", "6"]
    assert main(["--data", file, "--target", "t", "--activations", "relu, mish", *small]) == 0
    out, err = capsys.readouterr()
    first, rest = out.split("\n", 1)
    assert first == file
    spoken = rest.replace("\n", " ")
    assert spoken.startswith("target 't': 3 classes (0 67, 1 67, 2 66); 4 numeric inputs  ")
    report = spoken.partition("inputs  ")[2]
    rows = "Rows: 120 for training, 30 for validation, 50 for testing."
    assert report.startswith(f"Target: 3 classes (0 67, 1 67, 2 66). {rows} Net: 4-8-8-3. ")
    assert "6 seeds (0 to 5); inputs scaled by column" in spoken
    assert "4 epochs, 16 steps per seed, batches of 32, Adam." in out
    assert "Learning rate of each candidate: the best of" in out
    assert "\nrelu " in out
    assert "\nmish " in out
    assert "\nbaseline " in out
    assert max(map(len, out.splitlines()[1:])) <= 79
    assert err == ""
    one = ["--epochs", "1", "--seeds", "1", "--seed", "3", "--no-tune", "--lr", "0.01", "--lang", "vi"]
    assert main(["--data", file, "--target", "t", "--activations", "relu", *one]) == 0
    out = capsys.readouterr().out
    assert "1 seed (3)" in out
    assert out.splitlines()[1] == "đích 't': 3 lớp (0 67, 1 67, 2 66); 4 đầu vào dạng số"
    assert "Đích: 3 lớp (0 67, 1 67, 2 66)." in out


def test_task_is_detected_or_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = blobs()
    file = write(tmp_path / "t.csv", X, y)
    small = ["--data", file, "--target", "t", "--activations", "relu", "--epochs", "1", "--seeds", "1", "--no-tune"]
    assert main([*small, "--task", "quantity"]) == 0
    assert "a quantity (3 distinct whole numbers)" in capsys.readouterr().out
    file = write(tmp_path / "t.csv", X, np.arange(200))
    assert main(small) == 0
    assert "a quantity (200 distinct whole numbers)" in capsys.readouterr().out


def test_missing_values_are_filled_by_the_training_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = blobs()
    X = X.copy()
    X[::7, 0] = np.nan
    file = write(tmp_path / "t.csv", X, y)
    small = ["--data", file, "--target", "t", "--activations", "relu", "--epochs", "1", "--seeds", "1", "--no-tune", "--missing", "mean"]
    assert main(small) == 0
    assert "missing values replaced by the mean of the training rows" in capsys.readouterr().out.replace("\n", " ")


def test_the_default_data_are_the_digits() -> None:
    done = subprocess.run([sys.executable, "-m", "pynn"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "handwritten digits"
    assert max(map(len, lines)) <= 79
    table = {line.split()[0]: line.split() for line in lines if "±" in line}
    assert [*table] == ["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"]
    assert all(float(row[1].rstrip("%")) >= 96 for row in table.values())
    assert "No statistically significant difference was found." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "t.csv"], "--data and --target must be given together"),
        (["--epochs", "0"], "'0' is not a positive whole number"),
        (["--epochs", "1.5"], "'1.5' is not a positive whole number"),
        (["--lr", "nan"], "'nan' is not a positive number"),
        (["--hidden", "8,,8"], "'' is not a positive whole number"),
        (["--seeds", "0"], "'0' is not a positive whole number"),
        (["--seed", "-1"], "'-1' is not an integer of 0 or more"),
    ],
)
def test_invalid_options_are_explained(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_invalid_data_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.csv"), "--target", "t"]) == 2
    assert "none.csv" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("age,t\n" + "".join(f"{'abc' if i == 0 else i},{i}\n" for i in range(60)))
    assert main(["--data", str(tmp_path / "t.csv"), "--target", "t"]) == 2
    assert "column 'age': 'abc' (line 2), where 59 of 60 values are numbers" in capsys.readouterr().err.replace("\n", " ")
    assert main(["--activations", "reul"]) == 2
    assert "did you mean 'relu'" in capsys.readouterr().err


def test_help_explains_with_examples() -> None:
    done = subprocess.run([sys.executable, "-m", "pynn", "--help"], capture_output=True, text=True, check=True)
    for word in ("examples:", "--data", "--target", "--seeds", "dead"):
        assert word in done.stdout
    assert done.stderr == ""


def test_help_is_printed_without_unicode() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "pynn", "--help"], capture_output=True, text=True, check=True, env=environment)
    assert "mean ? standard deviation" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_devices_and_directories_are_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, message in (("/dev/zero", "not a regular file"), (str(tmp_path), "directory")):
        assert main(["--data", path, "--target", "y"]) == 2
        assert message in capsys.readouterr().err

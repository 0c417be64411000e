"""The pytest plugin: seeds, the table of results, baselines; with and without pytest-xdist."""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats  # runs of pytest in this process forget the modules that they import, and some can be loaded only once
from process import run_python

import pynn
import pynn._experiments.table
import pynn.datasets
import pynn_pytest
from pynn import _core
from pynn._experiments.baseline import _worse_number

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parents[1] / "docs" / "pytest.md"
ROOT = Path(__file__).parents[1]
REGEN = "--force-regen" if importlib.util.find_spec("pytest_regressions") is None else "--pynn-force-regen"
EXAMPLES = ROOT / "examples" / "experiments"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run pytest in this process on the text of a test file, which is then kept for further runs."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def runs(text: str = "", *arguments: str) -> pytest.RunResult:
        if text:
            pytester.makepyfile(test_it=text)
        plugins = ["pynn_pytest", "no:cacheprovider", *["xdist"] * ("-n" in arguments)]
        return pytester.runpytest_inprocess(*(f"-p{name}" for name in plugins), *arguments)

    return runs


def section(result: pytest.RunResult, title: str = "experiments") -> list[str]:
    """Return the lines of a section at the end of a run."""
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if re.fullmatch(rf"=+ {title} =+", line))
    return [line for line in lines[start + 1 : next(i for i in range(start + 1, len(lines)) if lines[i].startswith("==="))] if line]


# ---- cost -----------------------------------------------------------------------------------------------------------
def test_an_unused_plugin_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_one(): pass\n")
    code = f"""
        import sys
        import pytest
        assert pytest.main(["-q", "-p", "pynn_pytest", "--rootdir", {str(tmp_path)!r}, {str(tmp_path)!r}]) == 0
        print(*sorted(name for name in sys.modules if name.split(".")[0] in ("pynn", "numpy", "scipy", "pynn_pytest")))
    """
    done = run_python(code, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH=str(ROOT))
    assert done.stdout.splitlines()[-1] == "pynn_pytest", done.stderr


# ---- seeds ----------------------------------------------------------------------------------------------------------
SEEDS = """
    import pytest, pynn

    drawn, before = [], pynn._random._source[:]

    @pytest.mark.seeds(3)
    def test_marked(seed):
        drawn.append(float(pynn.Linear(1, 1).weight[0, 0]))
        assert drawn[-1] == float(pynn.Linear(1, 1, seed=pynn._random.draw_seed(None) * 0 + first(seed)).weight[0, 0])

    def first(seed):
        pynn.manual_seed(seed)
        return pynn._random.draw_seed(None)

    @pytest.mark.seeds([7, 5])
    @pytest.mark.parametrize("side", [1, 2])
    def test_list(seed, side):
        assert seed in (5, 7)

    @pytest.mark.seeds(2)
    def test_without_the_fixture():
        assert float(pynn.Linear(1, 1).weight[0, 0]) in drawn[:2]

    def test_plain(seed):
        assert seed == 0

    def test_other():
        assert pynn._random._source == before
"""


def test_seeds(run: Any) -> None:
    result = run(SEEDS, "-v")
    result.assert_outcomes(passed=11)
    ran = [line.split("::")[1].split()[0] for line in result.outlines if "PASSED" in line]
    assert ran[:3] == ["test_marked[seed0]", "test_marked[seed1]", "test_marked[seed2]"]
    assert {"test_list[1-seed7]", "test_list[2-seed5]", "test_without_the_fixture[seed1]", "test_plain", "test_other"} < {*ran}


def test_the_option_changes_the_number_of_seeds(run: Any) -> None:
    text = """
        import pytest

        @pytest.mark.seeds(3)
        def test_marked(seed): pass

        @pytest.mark.seeds([4])
        def test_list(seed): pass

        def test_plain(seed): pass

        def test_other(): pass
    """
    result = run(text, "-v", "--pynn-seeds=2")
    names = sorted(line.split("::")[1].split()[0] for line in result.outlines if "PASSED" in line)
    assert names == ["test_list[seed4]", "test_marked[seed0]", "test_marked[seed1]", "test_other", "test_plain[seed0]", "test_plain[seed1]"]
    assert "--pynn-seeds" in run("", "--pynn-seeds=0").stderr.str()


def test_other_fixtures_and_parameters_of_that_name_are_left_alone(run: Any) -> None:
    text = """
        import pytest

        @pytest.fixture
        def seed(): return "mine"

        def test_fixture(seed): assert seed == "mine"

        @pytest.mark.parametrize("seed", ["a", "b"])
        def test_parameter(seed): assert seed in "ab"
    """
    run(text, "--pynn-seeds=2").assert_outcomes(passed=3)
    result = run(text.replace("def test_fixture", "@pytest.mark.seeds(2)\n        def test_fixture"))
    result.assert_outcomes(errors=1)
    assert "seeds: the test has a parameter or another fixture named 'seed'" in result.stdout.str()


@pytest.mark.parametrize("given", ["", "0", "-1", "True", "[]", "[1, 1]", "[1.5]", "'3'", "1, 2", "n=3"])
def test_invalid_markers_are_explained(run: Any, given: str) -> None:
    result = run(f"import pytest\n@pytest.mark.seeds({given})\ndef test_one(seed): pass\n")
    result.assert_outcomes(errors=1)
    assert "seeds: expected a number of seeds such as seeds(10), or a list of different seeds, got" in result.stdout.str()


def test_pytest_randomly_does_not_change_the_seed_of_a_test() -> None:
    before = pynn._random._source[:]
    try:
        pynn_pytest.reseed(5)
        a = pynn._random.draw_seed(None)
        pynn_pytest.reseed(5)
        assert pynn._random.draw_seed(None) == a
        pynn_pytest._current.append(3)
        pynn_pytest.reseed(5)
        assert pynn._random.draw_seed(None) != a
    finally:
        pynn_pytest._current.clear()
        pynn._random._source[:] = before


# ---- the table ------------------------------------------------------------------------------------------------------
TABLE = """
    import pytest

    @pytest.mark.seeds(10)
    @pytest.mark.experiment(rope=0.01)
    @pytest.mark.parametrize("kind", ["good", "equal", "bad"])
    def test_kinds(kind, seed, experiment):
        noise = 0.01 * ((seed * 7) % 10) / 10
        shift = {"good": 0.0, "equal": 0.0001 * (-1) ** seed, "bad": -0.1 - noise / 3}[kind]
        experiment.record(accuracy=0.9 + noise + shift, mse=2.0 + seed + (kind == "good") * (1 + noise), cost=3)
        assert kind != "bad" or seed

    @pytest.mark.experiment("pair")
    def test_one(experiment):
        experiment.record(f1=1)

    @pytest.mark.experiment("pair")
    @pytest.mark.parametrize("n", [2])
    def test_two(experiment, n):
        for seed in range(3):
            experiment.seed = seed
            experiment.record("inner", f1=seed)
"""

def test_the_table(run: Any, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = run(TABLE, "-n", "2", "--pynn-json=out.json")
    result.assert_outcomes(passed=31, failed=1)
    lines = section(result)
    assert lines == section(run(""))  # in one process
    assert lines[:4] == ["pair", "          seeds          f1", "inner         3   1.0 ± 1.0", "test_one      1         1.0"]
    rest = lines[lines.index("test_it.py::test_kinds, 10 seeds") :]
    assert rest[1].split() == ["accuracy", "mse", "cost"]
    assert [line.split() for line in rest[2:5]] == [
        ["equal", "*0.9045", "±", "0.0030", "*6.5", "±", "3.0", "3", "±", "0"],
        ["good", "*0.9045", "±", "0.0030", "7.5", "±", "3.0", "3", "±", "0"],
        ["bad", "0.8030", "±", "0.0020", "*6.5", "±", "3.0", "3", "±", "0"],
    ]
    text = " ".join(rest)
    assert "*: may be best, 95 % confidence, corrected for all pairs" in text
    assert "Includes the results of 1 failed test." in text
    assert "accuracy: equal is better than bad by " in text
    assert "equal and good are equivalent: every difference between them is within 1.0 points." in text
    assert "cost: No verdict: whether greater or smaller values are better is unknown" in text
    content = json.loads((pytester.path / "out.json").read_text())
    assert content["instruction set"] == _core.isa()
    kinds = content["experiments"][1]
    assert kinds["failed tests"] == 1
    assert [one["name"] for one in kinds["quantities"]] == ["accuracy", "mse", "cost"]
    accuracy = kinds["quantities"][0]
    values = [0.9 + 0.01 * ((seed * 7) % 10) / 10 for seed in range(10)]
    assert accuracy["best"] == ["equal", "good"]
    assert accuracy["labels"]["good"] == pytest.approx({"seeds": 10, "mean": np.mean(values), "spread": scipy.stats.tstd(values)})
    assert len(content["results"]) == 10 * 3 * 3 + 4
    assert [row["seed"] for row in content["results"] if row["label"] == "good" and row["name"] == "mse"] == [*range(10)]


def test_missing_seeds_and_values_that_are_not_finite(run: Any) -> None:
    text = """
        import pytest

        @pytest.mark.seeds(9)
        @pytest.mark.parametrize("kind", ["a", "b"])
        def test_kinds(kind, seed, experiment):
            if kind == "b" and seed == 4:
                raise OSError("diverged")
            experiment.record(accuracy=0.9 + seed / 100 - (kind == "b") * (0.1 + seed / 1000), loss=float("nan" if seed == 2 else seed))
    """
    text = " ".join(section(run(text)))
    assert "Compared on the 8 seeds that all labels have. a is better than b by " in text
    assert re.search(r" a +9 +\*0.940 ± 0.027 +nan ± nan b +8 ", text), text
    assert "loss: No verdict: a value of a is not finite." in text


def test_narrow_terminals_get_several_tables(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    text = """
        def test_one(experiment):
            experiment.record(accuracy=1, balanced_accuracy=2, top_5_accuracy=3, f1_score=4)
    """
    lines = section(run(text))
    assert max(map(len, lines)) <= 50
    assert [line.split() for line in lines[1:]] == [
        ["accuracy", "balanced_accuracy"],
        ["test_one", "1", "2"],
        ["top_5_accuracy", "f1_score"],
        ["test_one", "3", "4"],
    ]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("experiment.record()", "ValueError: record: expected at least one value"),
        ("experiment.record(loss='low')", "TypeError: record: loss must be a real number, got 'low'"),
        ("experiment.record(loss=[1.0])", "TypeError: record: loss must be a real number"),
        ("experiment.record(loss=1); experiment.record(loss=2)", "ValueError: record: loss of 'test_one' is recorded already in this test"),
    ],
)
def test_invalid_records_are_explained(run: Any, call: str, says: str) -> None:
    result = run(f"def test_one(experiment): {call}")
    result.assert_outcomes(failed=1)
    assert says in result.stdout.str()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("modes={'a': 'max'}", "TypeError: experiment: unknown setting 'modes'; known: mode, test_fraction, rope, alpha"),
        ("mode={'a': 'up'}", "ValueError: experiment: mode must map names of values to 'min' or 'max'"),
    ],
)
def test_invalid_settings_are_explained(run: Any, given: str, says: str) -> None:
    result = run(f"import pytest\n@pytest.mark.experiment({given})\ndef test_one(experiment): pass\n")
    result.assert_outcomes(errors=1)
    assert says in result.stdout.str()


def test_the_file_must_have_a_directory(run: Any) -> None:
    assert "--pynn-json: the directory of no/out.json does not exist" in run("def test_one(): pass", "--pynn-json=no/out.json").stderr.str()


# ---- baselines ------------------------------------------------------------------------------------------------------
BASELINE = """
    import numpy as np, pytest

    @pytest.mark.seeds(4)
    @pytest.mark.parametrize("kind", ["a", "b"])
    def test_kinds(kind, seed, baseline):
        baseline.check({"a": 1.0, "b": 2.0}[kind] + seed / 10, worse_by=0.05)

    def test_near(baseline):
        baseline.check([1.0, float("nan")], "curve", rtol=1e-3)
        baseline.check({"w": np.ones((2, 2)), "b": 3}, "state")

    def test_bits(baseline):
        baseline.check(np.array([[0.1, 0.2], [0.3, -0.0]], "f4"), exact=True)
        baseline.check(np.arange(5000.0), "many", exact=True)
        baseline.check(1 + 2j, "complex", exact=True)
"""


def test_values_are_stored_and_compared(run: Any, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = run(BASELINE)
    result.assert_outcomes(failed=10)
    assert "no baseline is stored for value" in result.stdout.str()
    assert "pytest --force-regen" in result.stdout.str()
    result = run("", REGEN, "-n", "2")
    result.assert_outcomes(passed=10)
    assert section(result, "baselines") == ["14 values stored in baselines/test_it.json"]
    run("").assert_outcomes(passed=10)
    stored = json.loads((pytester.path / "baselines" / "test_it.json").read_text())
    assert sorted(stored) == ["test_bits", "test_kinds[a]", "test_kinds[b]", "test_near"]
    values = stored["test_kinds[b]"]["value"]["values"]
    assert {seed: one["value"] for seed, one in values.items()} == {"0": 2, "1": 2.1, "2": 2.2, "3": 2.3}
    before = (pytester.path / "baselines" / "test_it.json").read_bytes()
    run("", "--pynn-force-regen", "-k", "near").assert_outcomes(passed=1, deselected=9)
    assert (pytester.path / "baselines" / "test_it.json").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[1.0, float", "[1.002, float", r"curve: 1 of 2 elements, the first at \(0,\): 1.002 instead of 1.0; allowed .* rtol = 0.001"),
        ("[1.0, float", "[2.0, 1.0, float", r"curve: the shape is \(3,\), that of the baseline \(2,\)"),
        ('"b": 3}', '"b": 3.1}', r"state.b: 3.1 instead of 3; allowed .* rtol = 1e-05, atol = 0"),
        ("-0.0]]", "0.0]]", r"value: the bits differ: 1 of 4 elements, the first at \(1, 1\): 0.0 instead of -0.0"),
        ('"f4"', '"f8"', r"value: the value is <f8 of shape \(2, 2\), the baseline <f4 of shape \(2, 2\)"),
        ("5000.0)", "5000.0) * 1.5", "many: the bits differ"),
        ("1 + 2j", "1 + 3j", r"complex: the bits differ: \(1\+3j\) instead of \(1\+2j\)"),
        ('"a": 1.0', '"a": -1.0', r"value: -1 is below the limit [\d.-]+: the mean of 4 seeds, 1.15, whose .* 0.129 allows"),
        ("baseline.check([1.0", "baseline.check(['1.0'", r"value: expected numbers, got \['1.0', nan\]"),
    ],
)
def test_differences_are_explained(run: Any, old: str, new: str, says: str) -> None:
    run(BASELINE, REGEN).assert_outcomes(passed=10)
    assert old in BASELINE
    result = run(BASELINE.replace(old, new))
    assert re.search(says, result.stdout.str()), result.stdout.str()
    if "instead" in says or "limit" in says:
        origin = f"stored by pynn {pynn.__version__} on {_core.isa()}; this run: pynn {pynn.__version__}, {_core.isa()}"
        assert re.search(f"- baseline: baselines/test_it.json, test_.*, {origin}", result.stdout.str())


def test_bits_name_the_instruction_set(run: Any, pytester: pytest.Pytester) -> None:
    run(BASELINE, REGEN)
    file = pytester.path / "baselines" / "test_it.json"
    file.write_text(file.read_text().replace(f'"{_core.isa()}": {{', '"mmx": {'))
    text = run("", "-k", "bits").stdout.str()
    assert f"value: bits are stored for mmx, and this run uses {_core.isa()}; run with PYNN_ISA=mmx, or store them too" in text
    assert f"stored by pynn {pynn.__version__} on mmx; this run: pynn {pynn.__version__}, {_core.isa()}" in text
    run("", REGEN, "-k", "bits")
    assert sorted(json.loads(file.read_text())["test_bits"]["value"]["bits"]) == sorted(["mmx", _core.isa()])
    run("", "-k", "bits").assert_outcomes(passed=1, deselected=9)


SEQUENCE = """
    def test_scores(baseline):
        baseline.check([0.90, 0.92, 0.91, 0.95, 0.93, 0.90, 0.94, 0.92], worse_by=0.01{})
"""


def test_sequences_are_compared_by_a_paired_test(run: Any) -> None:
    run(SEQUENCE.replace("{}", ""), REGEN).assert_outcomes(passed=1)
    scores = np.array([0.90, 0.92, 0.91, 0.95, 0.93, 0.90, 0.94, 0.92])
    noise = np.array([1, -1, 2, -2, 1, -1, 1, -1]) / 1000

    def again(values: Any, more: str = "") -> pytest.RunResult:
        return run(f"def test_scores(baseline): baseline.check({[*map(float, values)]}, worse_by=0.01{more})")

    again(scores - 0.008 + noise).assert_outcomes(passed=1)
    again(scores - 0.2, ", mode='min'").assert_outcomes(passed=1)
    assert re.search(r"mean of 8 seeds is 0.90\d*, worse than 0.92125 by 0.015, significantly", again(scores - 0.015 + noise).stdout.str())
    assert "worse than" in again(scores + 0.015 + noise, ", mode='min'").stdout.str()
    assert "7 values, one per seed, and 8 in the baseline" in again(scores[1:]).stdout.str()
    result = run("def test_scores(baseline): baseline.check(1.0, worse_by=0)")
    assert "the value is a number, and the baseline a sequence" in result.stdout.str()


def test_a_baseline_of_few_seeds_has_no_spread() -> None:
    assert _worse_number(0.90, [0.95], 0.05 + 1e-9, 1.0) is None
    assert _worse_number(0.89, [0.95], 0.05, 1.0) == "0.89 is below the limit 0.9: the stored value, 0.95, and worse_by = 0.05"
    assert "is above the limit 1: the mean of the 2 stored values, 0.9, and" in (_worse_number(1.1, [0.8, 1.0], 0.1, -1.0) or "")


@pytest.mark.parametrize("n", [3, 10])
def test_equal_versions_rarely_fail(n: int) -> None:
    """Five percent of the comparisons of all seeds with a baseline of the same distribution fail."""
    rng = np.random.default_rng(n)
    failed = sum(any(_worse_number(x, stored, 0.0, 1.0) for x in now) for stored, now in rng.normal(size=(600, 2, n)).tolist())
    assert 5 < failed < 30 + 3 * 30**0.5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("check(1, exact=True, rtol=1e-3)", "ValueError: check: exact, worse_by, and rtol with atol exclude each other"),
        ("check(1, worse_by=1, mode='up')", "ValueError: mode: expected 'max' or 'min', got 'up'"),
        ("check(1, worse_by=-1)", "ValueError: worse_by: expected 0 or more"),
        ("check({'a': 1}, worse_by=1)", "ValueError: worse_by: expected a number or a sequence of numbers as value, got a mapping"),
        ("check(1); baseline.check(1)", "ValueError: name: 'value' is checked already in this test"),
    ],
)
def test_invalid_checks_are_explained(run: Any, call: str, says: str) -> None:
    run("def test_one(baseline): baseline.check(1)", REGEN)
    result = run(f"def test_one(baseline): baseline.{call}")
    result.assert_outcomes(failed=1)
    assert says in result.stdout.str()


def test_large_arrays_are_stored_by_their_bits_alone(run: Any) -> None:
    result = run("def test_one(baseline): baseline.check([0.0] * 1001)", REGEN)
    assert "value: value has 1,001 numbers, up to 1,000 can be stored; use exact=True, or its mean" in result.stdout.str()


def test_a_damaged_file_is_an_error(run: Any, pytester: pytest.Pytester) -> None:
    (pytester.path / "baselines").mkdir()
    (pytester.path / "baselines" / "test_it.json").write_text("<<<<<<< HEAD")
    assert re.search("test_it.json: not a file of baselines: .*; restore it", run("def test_one(baseline): baseline.check(1)").stdout.str())


# ---- the examples ---------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs the examples")
def test_the_examples_give_one_table_with_two_workers(run: Any, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    shutil.copytree(EXAMPLES, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    result = run("", "-n", "2", "--pynn-json=out.json")
    result.assert_outcomes(passed=40)
    lines = section(result)
    heads = [line for line in lines if line.endswith(" seeds")]
    assert heads == [
        "test_activations.py::test_digits, 10 seeds",
        "test_own_layer.py::test_the_layer_beats_no_activation, 8 seeds",
        "test_regression.py::test_accuracy_has_not_dropped, 6 seeds",
    ]
    results = json.loads((pytester.path / "out.json").read_text())["results"]
    for label in ("gelu", "relu", "sigmoid"):
        scores = [row["value"] for row in results if row["label"] == label and row["name"] == "accuracy"]
        (line,) = [line for line in lines if line.split()[0] == label]
        assert len(scores) == 10
        assert f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f}" in line
        assert line.split()[1].startswith("*") is (label != "sigmoid")
    assert any(line.startswith("r2: swish is better than linear") for line in lines)


@pytest.mark.skipif(not PAGE.exists(), reason="needs the documentation")
def test_code_of_the_page(run: Any) -> None:
    """Its code is part of an example, or is a test that passes."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    examples = [file.read_text(encoding="utf-8") for file in EXAMPLES.glob("test_*.py")]
    others = [block for block in blocks if not any(block in text for text in examples)]
    assert (len(blocks), len(others)) == (4, 1)
    run(others[0], REGEN).assert_outcomes(passed=1)
    run("").assert_outcomes(passed=1)
    text = run(others[0].replace("epochs=1", "epochs=2")).stdout.str()
    assert "AssertionError: value.0.weight: the bits differ\n" in text
    assert f"test_bits, stored by pynn {pynn.__version__} on {_core.isa()}; this run: pynn" in text

"""The benchmarks run and report their measurements. No time is asserted."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = [
    pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs the benchmarks"),
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks pin processes to CPUs, which needs Linux"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCHMARKS / "run.py"), *arguments], capture_output=True, text=True, check=False)


def test_a_quick_run_writes_its_reports(tmp_path: Path) -> None:
    paths = tmp_path / "report.json", tmp_path / "report.md"
    done = run("step", "--quick", "--peers", "numpy", "--json", str(paths[0]), "--markdown", str(paths[1]))
    assert done.returncode == 0, done.stderr
    written, text = json.loads(paths[0].read_text()), paths[1].read_text()
    [record] = written["records"]
    assert {"pynn", "numpy"} <= record["values"].keys()
    assert not {"pynn", "numpy"} & record["errors"].keys()
    assert record["ratios"]["numpy"][0] == pytest.approx(record["values"]["numpy"][0] / record["values"]["pynn"][0])
    assert {"pynn", "numpy"} <= written["facts"]["versions"].keys()
    assert f"| {record['case']} |" in text
    assert written["facts"]["cpu"] in text


def test_the_parts_of_a_step_add_up(tmp_path: Path) -> None:
    done = run("anatomy", "--quick", "--peers", "numpy", "--json", str(tmp_path / "report.json"))
    assert done.returncode == 0, done.stderr
    [record] = json.loads((tmp_path / "report.json").read_text())["records"]
    assert "pynn" not in record["errors"]
    assert {"pynn linear", "pynn weight gradient", "pynn update", "pynn rest"} <= record["values"].keys()
    assert sum(record["piece flops"].values()) == pytest.approx(record["flops"])


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("native")


def test_the_native_program_contains_the_whole_core(native: Any) -> None:
    if not native.CORE.is_dir():
        pytest.skip("needs the C sources")
    sources = [path for paths, _ in native.core_units() for path in paths]
    assert {*sources} == {*native.CORE.rglob("*.c"), native.HERE / "door.c"}
    isas = {flag for _, flags in native.core_units() for flag in flags if flag.startswith("-DPN_ISA=")}
    assert len(isas) == sum(path.name == "kernels.c" for path in sources) > 0


def test_an_unknown_peer_raises() -> None:
    done = run("step", "--peers", "nobody")
    assert done.returncode
    assert "nobody" in done.stderr


def test_merge_combines_reports(tmp_path: Path) -> None:
    parts = []
    for part, (threads, peer) in enumerate((("1", "numpy"), ("1", "machine"))):
        parts.append(str(tmp_path / f"{part}.json"))
        done = run("predict", "--quick", "--threads", threads, "--peers", peer, "--json", parts[-1])
        assert done.returncode == 0, done.stderr
    merged = tmp_path / "merged.json"
    done = run("--merge", *parts, "--json", str(merged))
    assert done.returncode == 0, done.stderr
    last, both = (json.loads(Path(path).read_text()) for path in (parts[1], merged))
    assert both["records"] == last["records"]  # the later measurement of a case replaces the earlier one
    assert "numpy" in both["facts"]["versions"]
    elsewhere = last | {"facts": last["facts"] | {"cpu": "another"}}
    Path(parts[0]).write_text(json.dumps(elsewhere))
    done = run("--merge", *parts)
    assert done.returncode
    assert "cpu is another" in done.stderr


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("publish")


def test_readmes_contain_the_published_measurements(publish: Any) -> None:
    written = json.loads((publish.ROOT / publish.NUMBERS).read_text(encoding="utf-8"))
    for name, words in publish.WORDS.items():
        document = (publish.ROOT / name).read_text(encoding="utf-8")
        table = "\n".join(publish.summary(written["facts"], written["records"], words))
        assert document == publish.between_marks(document, table, name)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("harness")


def peer(name: str, *values: float) -> ModuleType:
    """Return a peer whose runs return these values in turn, multiplied by the repetitions."""
    module, turn = ModuleType(f"peers.{name}"), iter(values * 100)
    module.race = lambda: {"": lambda n: n * next(turn)}  # type: ignore[attr-defined]
    return module


def test_ratios_are_medians_with_their_range_over_rounds(harness: Any) -> None:
    case = harness.Case("it", harness.discipline("race"), once=True)
    record = harness.measure(case, [peer("pynn", 2.0), peer("other", 1.0, 6.0, 10.0)], harness.Pace(rounds=9))
    assert record["values"] == {"pynn": [2.0, 2.0, 2.0], "other": [6.0, 1.0, 10.0]}
    assert record["ratios"] == {"other": [3.0, 0.5, 5.0]}
    assert record["rounds"] == 9


def test_a_failing_peer_is_reported_and_others_continue(harness: Any) -> None:
    broken = ModuleType("peers.broken")
    case = harness.Case("it", lambda p: p.race(), once=True)
    record = harness.measure(case, [peer("pynn", 2.0), broken, peer("other", 4.0)], harness.Pace(rounds=2))
    assert list(record["errors"]) == ["broken"]
    assert record["ratios"] == {"other": [2.0, 2.0, 2.0]}

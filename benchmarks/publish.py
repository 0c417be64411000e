"""Write measurements as documents: the report, its plots, and the tables of the READMEs."""

from __future__ import annotations

import importlib
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import subjects
from harness import BUSY
from nets import NETS
from report import number, table

Record = Mapping[str, Any]
ROOT = Path(__file__).parents[1]
NUMBERS, REPORT, PICTURES = Path("docs/benchmarks.json"), Path("docs/benchmarks.md"), Path("docs/benchmarks")
MARK = "<!-- {} python benchmarks/run.py --publish -->"
BEGIN, END = MARK.format("made by"), MARK.format("end of what was made by")

STEP = {"torch fused adam": "PyTorch", "torch compiled": "torch.compile", "jax": "JAX", "numpy": "NumPy", "sklearn": "scikit-learn"}
WORDS = {
    "README.md": {
        "point": ".",
        "machine": "{cpu}, {cpus} CPUs, {isa}",
        "step": "Time of a training step (forward, loss, backward, Adam; float32) divided by that of pynn's `fit`",
        "threads": "threads",
        "net": "net, batch size",
        "predict": "Time of a prediction with ONNX Runtime divided by that of pynn's `predict`, one thread",
        "row": "one row",
        "rows": "1000 rows",
        "how": "Medians on {machine}, {date}, with all libraries taking turns in one process: {versions}. "
        "Above 1, pynn is faster. PyTorch uses fused Adam; the NumPy step is written by hand. "
        "[All numbers, plots and the method](docs/benchmarks.md).",
        "busy": "\\*: measured while other processes were busy.",
    },
    "README.vi.md": {
        "point": ",",
        "machine": "{cpu}, {cpus} CPU, {isa}",
        "step": "Thời gian một bước huấn luyện (lan truyền xuôi, hàm mất mát, lan truyền ngược, Adam; float32) của mỗi thư viện, chia cho "
        "thời gian của `fit` trong pynn",
        "threads": "số luồng",
        "net": "mạng, kích thước lô",
        "predict": "Thời gian dự đoán của ONNX Runtime chia cho thời gian của `predict` trong pynn, một luồng",
        "row": "một mẫu",
        "rows": "1000 mẫu",
        "how": "Trung vị đo trên {machine}, {date}, các thư viện chạy luân phiên trong cùng một tiến trình: {versions}. "
        "Lớn hơn 1 nghĩa là pynn nhanh hơn. PyTorch dùng fused Adam; bước của NumPy được viết tay. "
        "[Toàn bộ số liệu, biểu đồ và phương pháp đo](docs/benchmarks.md) (tiếng Anh).",
        "busy": "\\*: trong lúc đo, có tiến trình khác sử dụng CPU.",
    },
}
NAMES = {"torch": "PyTorch", "jax": "JAX", "numpy": "NumPy", "sklearn": "scikit-learn", "onnxruntime": "ONNX Runtime"}


def report(facts: Mapping[str, Any], records: Sequence[Record], pictures: Sequence[Path] = ()) -> str:
    """Return the report as Markdown: a section for each subject and number of threads, followed by the plots of the subject."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    missing = f" Not installed: {', '.join(facts['missing'])}." if facts["missing"] else ""
    lines = [
        f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['instruction set']} in use; {facts['system']}; {facts['date']}.",
        f"Python {facts['python']}, {versions}.{missing}",
        "",
        "The contestants of a case take turns in one process. Ratios are of medians, followed by the 10th and 90th percentile of the",
        "ratios within rounds; above 1, pynn is faster. A star marks cases in which other processes used more than a fifth of a CPU.",
        "",
    ]
    for name in subjects.NAMES:
        for threads in sorted({record["threads"] for record in records if record["subject"] == name}):
            lines += _section(name, threads, [r for r in records if (r["subject"], r["threads"]) == (name, threads)])
        lines += [f"![{path.stem}]({path.parent.name}/{path.name})\n" for path in pictures if path.stem.partition("_")[0] == name]
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, threads: int, records: Sequence[Record]) -> list[str]:
    module = importlib.import_module(f"subjects.{name}")
    title = f"## {name.capitalize()}, {threads} thread{'s' * (threads > 1)}"
    failed = {f"- {contestant}: {error}" for record in records for contestant, error in record["errors"].items()}
    return [title, "", *textwrap.dedent(module.__doc__).strip().splitlines(), "", *module.report(records), *sorted(failed), ""]


def plot(records: Sequence[Record], directory: Path) -> list[Path]:
    """Write the plots of the subjects that have some; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in dict.fromkeys(record["subject"] for record in records):
        module = importlib.import_module(f"subjects.{name}")
        if hasattr(module, "plot"):
            paths += module.plot([record for record in records if record["subject"] == name], directory)
    return paths


def merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine the facts and records of several runs on one machine; the later measurement of a case replaces earlier ones."""
    facts: dict[str, Any] = {}
    records: dict[tuple[str, int, str], Record] = {}
    for part in parts:
        for key in ("cpu", "cpus", "instruction set", "python"):
            if facts and facts[key] != part["facts"][key]:
                raise SystemExit(f"--merge: {key} is {facts[key]} in one file and {part['facts'][key]} in another")
        versions = facts.get("versions", {}) | part["facts"]["versions"]
        missing = {name: why for name, why in part["facts"]["missing"].items() if name not in versions}
        facts = part["facts"] | {"versions": versions, "missing": missing}
        records |= {(record["subject"], record["threads"], record["case"]): record for record in part["records"]}
    return {"facts": facts, "records": list(records.values())}


def compact(run: Mapping[str, Any]) -> str:
    """Return facts and records as JSON, with one record per line and numbers of four digits."""

    def short(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: short(item) for key, item in value.items()}
        if isinstance(value, list):
            return [short(item) for item in value]
        return float(f"{value:.4g}") if isinstance(value, float) and math.isfinite(value) else value

    records = ",\n".join(json.dumps(short(record)) for record in run["records"])
    return f'{{"facts": {json.dumps(run["facts"])},\n"records": [\n{records}\n]}}\n'


def publish(run: Mapping[str, Any], root: Path = ROOT) -> list[Path]:
    """Write the numbers, the report with its plots, and the tables of the READMEs; return the paths."""
    (root / NUMBERS).write_text(compact(run), encoding="utf-8")
    run = json.loads((root / NUMBERS).read_text(encoding="utf-8"))
    for stale in (root / PICTURES).glob("*.svg"):
        stale.unlink()
    pictures = plot(run["records"], root / PICTURES)
    texts = {root / REPORT: report(run["facts"], run["records"], pictures)}
    texts |= {root / name: "\n".join(summary(run["facts"], run["records"], words)) for name, words in WORDS.items()}
    for path, text in texts.items():
        path.write_text(between_marks(path.read_text(encoding="utf-8"), text, path.name), encoding="utf-8")
    return [root / NUMBERS, *pictures, *texts]


def between_marks(document: str, text: str, name: str) -> str:
    """Return a document with the text between its two marks replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{name} has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{after}"


def summary(facts: Mapping[str, Any], records: Sequence[Record], words: Mapping[str, str]) -> list[str]:
    """Return the generated lines of a README: training steps, predictions against ONNX Runtime, and the machine."""
    lines = [f"{words['step']}:", "", *_steps(records, words)]
    predictions = _predictions(records, words)
    if predictions:
        lines += [f"{words['predict']}:", "", *predictions]
    peers = ", ".join(f"{NAMES[name]} {version.partition('+')[0]}" for name, version in facts["versions"].items() if name in NAMES)
    machine = words["machine"].format(cpu=facts["cpu"], cpus=facts["cpus"], isa=facts["instruction set"].upper())
    lines += textwrap.wrap(words["how"].format(machine=machine, date=facts["date"].partition(" ")[0], versions=peers), 120)
    return [*lines, *[words["busy"]] * any("\\*" in line for line in lines)]


def _steps(records: Sequence[Record], words: Mapping[str, str]) -> list[str]:
    steps = [record for record in records if record["subject"] == "step"]
    peers = [peer for peer in STEP if any(peer in record["ratios"] for record in steps)]
    rows = []
    for net in NETS.values():
        for record in sorted((r for r in steps if r["case"] == str(net)), key=lambda r: r["threads"]):
            who = f"{'-'.join(map(str, net.widths))} {net.activation}, {net.batch}"
            rows.append([who, str(record["threads"]), *(_ratio(record, peer, words["point"]) for peer in peers)])
    return table([words["net"], words["threads"], *(STEP[peer] for peer in peers)], rows)


def _predictions(records: Sequence[Record], words: Mapping[str, str]) -> list[str]:
    found = {r["case"]: r for r in records if r["subject"] == "predict" and r["threads"] == 1 and "onnxruntime" in r["ratios"]}
    rows = []
    for net in NETS.values():
        cells = [_ratio(found[case], "onnxruntime", words["point"]) if case in found else "" for case in _cases(net)]
        if any(cells):
            rows.append([f"{'-'.join(map(str, net.widths))} {net.activation}", *cells])
    return table(["", words["row"], words["rows"]], rows)


def _cases(net: Any) -> Iterator[str]:
    from subjects.predict import name_of

    yield from (name_of(net, 1), name_of(net, 1000))


def _ratio(record: Record, peer: str, point: str) -> str:
    if peer not in record["ratios"]:
        return ""
    return number(record["ratios"][peer][0]).replace(".", point) + "\\*" * (record["other load"] > BUSY)

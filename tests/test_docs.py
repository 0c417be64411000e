"""The documentation is correct: examples and the README's code run, and links lead to existing files."""

import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn._tables import parse_docs, parse_parameters

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.vi.md")
MODULES = ["pynn", *(m.name for m in pkgutil.walk_packages(pynn.__path__, "pynn.") if not m.name.endswith(("__main__", "_core")))]


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", pynn.layers.__all__)
def test_every_layer_has_a_complete_docstring(name: str) -> None:
    doc = inspect.getdoc(getattr(pynn, name)) or ""
    takes_arguments = bool(inspect.signature(getattr(pynn, name)).parameters)
    sections = ["Parameters"] * takes_arguments + ["Raises", "Examples"]
    assert re.findall(rf"^({'|'.join(sections)})\n-+$", doc, re.M) == sections
    assert re.match(r"[^\n]+\.(\n\n|$)", doc)
    assert f"pynn.{name}(" in doc.partition("Examples\n")[2]


def public_callables() -> dict[str, object]:
    """Return the public classes and functions, and the methods of nets, by the name that users give them."""
    found: dict[str, object] = {}
    for name in MODULES:
        if "._" not in name:
            module = importlib.import_module(name)
            members = {f"{name}.{one}": getattr(module, one) for one in module.__all__}
            found |= {path: one for path, one in members.items() if callable(one) and one not in found.values()}
    for cls in (pynn.Sequential, pynn.Model):
        inherited = {one for base in cls.__mro__ if base.__module__.startswith("pynn.layers") for one in vars(base)}
        methods = {one: getattr(cls, one) for one in dir(cls) if not one.startswith("_") and (one not in inherited or one in vars(cls))}
        found |= {f"pynn.{cls.__name__}.{one}": method for one, method in methods.items() if callable(method)}
    return found


NOT_YET = ("pynn.reference.",)
"""Modules whose documentation has no examples yet."""
WITHOUT_EXAMPLE = {
    *("pynn.Loss", "pynn.Optimizer", "pynn.load", "pynn.io.save_file", "pynn.optim.lr_scheduler.LRScheduler", "pynn.datasets.Table"),
}
"""Public names whose documentation has no example yet."""


def test_public_names_have_an_example() -> None:
    bare = {name for name, one in public_callables().items() if ">>>" not in (one.__doc__ or "")}
    assert {name for name in bare if not name.startswith(NOT_YET)} == WITHOUT_EXAMPLE


def test_examples_outside_modules_run() -> None:
    """Run the examples that doctest does not find in modules, such as those of ufuncs."""
    finder, parser, runner = doctest.DocTestFinder(), doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    shown = {test.docstring for name in MODULES for test in finder.find(importlib.import_module(name))}
    for name, one in public_callables().items():
        if one.__doc__ not in shown:
            runner.run(parser.get_doctest(one.__doc__ or "", {}, name, None, 0))
    assert runner.tries > 50
    assert runner.failures == 0


def text_of(document: str) -> str:
    file = ROOT / document
    if not file.exists():
        pytest.skip("only a checkout has the documents")
    return file.read_text(encoding="utf-8")


def blocks(document: str, languages: str) -> list[tuple[str, str]]:
    """Return the language and the text of each block of code in one of the languages, separated by ``|``."""
    return re.findall(rf"^```({languages})\n(.*?)^```$", text_of(document), re.M | re.S)


@pytest.mark.parametrize("readme", READMES)
def test_readme_code_runs(readme: str, capsys: pytest.CaptureFixture[str]) -> None:
    ((_, code),) = blocks(readme, "python")
    assert len(code.splitlines()) <= 12
    exec(compile(code, readme, "exec"), {})
    accuracy, derivative, *health = capsys.readouterr().out.splitlines()
    assert float(accuracy.rpartition(":")[2]) > 0.95
    assert float(derivative.rpartition(":")[2]) == 0.5
    ((_, shown),) = blocks(readme, "text")
    assert [without_numbers(line) for line in health] == [without_numbers(line) for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("page", "least", "close"), [("docs/lab.md", 20, False), ("docs/formulas.md", 4, True), ("docs/sklearn.md", 3, True)]
)
def test_code_of_guides_runs(page: str, least: int, close: bool) -> None:
    """Its blocks run in order, and print the lines of the text blocks after them. Numbers differ, or with ``close`` by at most 2 %."""
    names: dict[str, Any] = {}
    printed: list[str] = []
    shown = 0
    for kind, text in blocks(page, "python|text"):
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, page, "exec"), names)
            printed = out.getvalue().splitlines()
            continue
        lines = [line for line in text.splitlines() if line.strip("- .")]
        for line in lines:
            alike = [other for other in printed if without_numbers(other) == without_numbers(line)]
            assert alike, line
            assert not close or any(numbers_in(other) == pytest.approx(numbers_in(line), rel=0.02) for other in alike), (line, alike)
        shown += len(lines)
    assert shown > least


NUMBER = r"-?\d[\d.e-]*"


def numbers_in(line: str) -> list[float]:
    return [float(number.rstrip(".")) for number in re.findall(NUMBER, line)]


def without_numbers(line: str) -> list[str]:
    """Return the words of a line, with 0 for each number: results of instruction sets differ in the last bits."""
    return re.sub(NUMBER, "0", line).split()


def test_readmes_contain_the_same_commands_and_code() -> None:
    english, vietnamese = (
        [text if language == "sh" else re.sub(r"print\(.*", "", text) for language, text in blocks(readme, "sh|python")]
        for readme in READMES
    )
    assert english == vietnamese


PAGES = [f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", [*READMES, *PAGES, "CONTRIBUTING.md", "SECURITY.md"])
def test_links_lead_to_existing_files(document: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text_of(document))
    assert [link for link in links if not ((ROOT / document).parent / link).exists()] == []


@pytest.mark.parametrize(
    ("readme", "pattern"),
    [
        ("README.md", r"More than (\d+) elementwise functions.*more than (\d+) losses and (\d+) optimizers"),
        ("README.vi.md", r"Hơn (\d+) hàm tính theo từng phần tử.*hơn (\d+) hàm mất mát và (\d+) bộ tối ưu"),
    ],
)
def test_counts_of_the_readme_are_true(readme: str, pattern: str) -> None:
    found = re.search(pattern, text_of(readme), re.S)
    assert found is not None
    optimizers = [name for name in pynn.optim.__all__ if isinstance(getattr(pynn.optim, name), type) and name != "MultiOptimizer"]
    counts = [len(pynn._core.ACTIVATIONS), len(pynn._core.LOSSES), len(optimizers)]
    assert all(int(n) < count <= int(n) + 10 for n, count in zip(found.groups(), counts, strict=True)), counts


def test_functions_without_parameters_are_ufuncs() -> None:
    for row in pynn._core.ACTIVATIONS:
        function = getattr(pynn, row["name"])
        if not isinstance(function, np.ufunc):
            assert len(positional(function)) > 1, row["name"]


def test_activation_docstrings_describe_their_parameters() -> None:
    for row in pynn._core.ACTIVATIONS:
        texts = parse_docs(row["docs"])
        assert list(texts) == list(parse_parameters(row["params"]).defaults), row["name"]
        documents = [getattr(pynn, row["name"]).__doc__, getattr(pynn.grad, row["name"]).__doc__]
        documents += [getattr(pynn, row["cls"]).__doc__] if row["cls"] else []
        assert all(text in document for text in texts.values() for document in documents), row["name"]


def positional(function: Callable[..., Any]) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]

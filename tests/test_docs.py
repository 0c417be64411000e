"""The documentation is true: examples in public docstrings and the README's code run, and links lead to existing files."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import pynn

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.vi.md")
MODULES = ["pynn", *(m.name for m in pkgutil.walk_packages(pynn.__path__, "pynn.") if not m.name.endswith(("__main__", "_core")))]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("module", [pynn.activations, pynn.grad], ids=lambda module: module.__name__)
def test_examples_of_activation_functions(module: ModuleType) -> None:
    """doctest does not find them by itself: they are ufuncs, or functions created on first access."""
    runner = doctest.DocTestRunner()
    for name in module.__all__:
        test = doctest.DocTestParser().get_doctest(getattr(module, name).__doc__, {}, name, None, None)
        assert test.examples
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", pynn.layers.__all__)
def test_every_layer_has_a_complete_docstring(name: str) -> None:
    doc = inspect.getdoc(getattr(pynn, name)) or ""
    takes_arguments = bool(inspect.signature(getattr(pynn, name)).parameters)
    sections = ["Parameters"] * takes_arguments + ["Raises", "Examples"]
    assert re.findall(rf"^({'|'.join(sections)})\n-+$", doc, re.M) == sections
    assert re.match(r"[^\n]+\.(\n\n|$)", doc)
    assert f"pynn.{name}(" in doc.partition("Examples\n")[2]


def blocks(readme: str, language: str) -> list[str]:
    file = ROOT / readme
    if not file.exists():
        pytest.skip("only a checkout has the README")
    return re.findall(rf"^```{language}\n(.*?)^```$", file.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("readme", READMES)
def test_code_of_the_readme(readme: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(readme, "python")
    assert len(code.splitlines()) <= 12
    exec(compile(code, readme, "exec"), {})
    accuracy, derivative = (float(line.rpartition(":")[2]) for line in capsys.readouterr().out.splitlines())
    assert accuracy > 0.95
    assert derivative == 0.5


def test_readmes_give_the_same_commands_and_the_same_code() -> None:
    english, vietnamese = ("".join(blocks(readme, "sh")) for readme in READMES)
    assert english == vietnamese
    assert [line.partition("print(")[0] for line in blocks(READMES[0], "python")[0].splitlines()] == [
        line.partition("print(")[0] for line in blocks(READMES[1], "python")[0].splitlines()
    ]


@pytest.mark.parametrize("readme", [*READMES, "docs/design.md"])
def test_links_lead_somewhere(readme: str) -> None:
    file = ROOT / readme
    if not file.exists():
        pytest.skip("only a checkout has the documents")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text(encoding="utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []

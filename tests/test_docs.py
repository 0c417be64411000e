"""What the documentation says runs: the examples of public docstrings, and the README's code."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pynn

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.vi.md")
MODULES = ["pynn", *(m.name for m in pkgutil.walk_packages(pynn.__path__, "pynn.") if not m.name.endswith(("__main__", "_core")))]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


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

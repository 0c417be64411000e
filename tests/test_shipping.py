"""What is shipped beside the Python package: the C library's header and version."""

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import pynn

ROOT = Path(__file__).parents[1]
HEADER = ROOT / "csrc" / "pynn.h"
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]


def test_the_version_is_that_of_the_header() -> None:
    numbers = re.findall(r"^#define PN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", HEADER.read_text(encoding="utf-8"), re.M)
    assert len(numbers) == 3
    assert pynn.__version__ == ".".join(numbers)


def test_the_installed_distribution_has_the_same_version() -> None:
    found = {d.version for d in importlib.metadata.distributions(name="pynn-c")}  # none in a tree that was built in place
    assert found <= {pynn.__version__}


@pytest.mark.parametrize(("language", "compiler"), [("c", "gcc"), ("c++", "g++"), ("c", "clang"), ("c++", "clang++")])
def test_the_header_compiles_alone(language: str, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    standard = {"c": "c11", "c++": "c++11"}[language]
    program = f'#include "{HEADER}"\nconst char *version = PN_VERSION;\nint main(void) {{ return pn_version() == version; }}\n'
    done = subprocess.run(
        [compiler, f"-std={standard}", *FLAGS, "-x", language, "-"],
        input=program,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_example_in_c_includes_the_public_header_alone() -> None:
    text = (ROOT / "examples" / "train.c").read_text(encoding="utf-8")
    assert re.findall(r'#include "(.*)"', text) == ["pynn.h"]

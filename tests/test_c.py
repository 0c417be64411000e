"""The C core's own tests, which need no Python: as users compile it, and under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "c" / "run.sh"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs the C compiler that built Python")
@pytest.mark.parametrize("flags", [[], ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]], ids=["plain", "sanitized"])
def test_core_passes_its_own_tests(flags: list[str]) -> None:
    done = subprocess.run(["sh", RUN, COMPILER, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout

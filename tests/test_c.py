"""The C core's own tests, which need no Python, with the core compiled as users get it; .ci/run has them under sanitizers and elsewhere too."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "c" / "run.sh"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs the C compiler that built Python")
def test_core_passes_its_own_tests() -> None:
    done = subprocess.run(["sh", RUN, COMPILER], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout

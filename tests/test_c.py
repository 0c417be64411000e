"""The C core's own tests, which need no Python: the core as users compile it here; in .ci/run also under sanitizers."""

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
    assert done.stdout.count(" 0 failed") == len([*RUN.parent.glob("test_*.c")])

"""The C tests and the C example, compiled with the usual flags; .ci/run also runs them with sanitizers."""

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "c" / "run.sh"
COMPILER = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"


@pytest.mark.skipif(shutil.which(shlex.split(COMPILER)[0]) is None, reason="needs the compiler that built pynn")
def test_c_tests_and_the_example_pass() -> None:
    done = subprocess.run(["sh", RUN, COMPILER], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 failed") == len([*RUN.parent.glob("test_*.c")])
    assert "accuracy on unseen points: 0.9" in done.stdout

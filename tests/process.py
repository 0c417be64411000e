"""Run Python code in a separate process."""

import os
import subprocess
import sys
import textwrap


def run_python(code: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code, which may be indented, with variables added to the environment."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout, check=False)

"""Programs that tests need and that have to be the system's own: brought by apt, where root runs the tests."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def program(name: str, package: str) -> str:
    """The path of ``name``, after installing Debian's ``package`` if it is missing; else the test fails."""
    if not shutil.which(name) and os.geteuid() == 0:
        # Tests run side by side, and apt turns the second one away. The folder is the lock.
        folder = os.open(Path(__file__).parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not shutil.which(name):
                _install(package)
        finally:
            os.close(folder)
    found = shutil.which(name)
    if not found:
        pytest.fail(
            f"this test needs the program {name}; an administrator can bring it: apt-get install {package}"
        )
    return found


def _install(package: str) -> None:
    install = ["apt-get", "-qq", "install", "--no-install-recommends", "-y", package]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, timeout=180, check=False)
        subprocess.run(install, capture_output=True, timeout=600, check=False, env=quiet)

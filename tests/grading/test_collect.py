"""What nbgrader itself puts into its exchange is collected as it is."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

from hpclab.grading import settings_file
from hpclab.grading.settings import Student
from hpclab.grading.submissions.collect import CollectOptions, collect

LAB = "ex01"
ME = pwd.getpwuid(os.geteuid()).pw_name
CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "hpc"
c.CourseDirectory.root = {root!r}
c.Exchange.root = {exchange!r}
c.Exchange.cache = {cache!r}
"""


def nbgrader(folder: Path, *argv: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *argv],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_NO_CONFIG": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_nbgrader_submits_is_collected_with_its_owner_and_a_time_of_the_server(tmp_path: Path) -> None:
    exchange, work = tmp_path / "exchange", tmp_path / "work"
    exchange.mkdir()
    exchange.chmod(0o777)
    release = tmp_path / "release" / LAB
    release.mkdir(parents=True)
    (release / f"{LAB}.ipynb").write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}')
    work.mkdir()
    config = CONFIG.format(root=str(tmp_path), exchange=str(exchange), cache=str(tmp_path / "cache"))
    for folder in (tmp_path, work):
        (folder / "nbgrader_config.py").write_text(config)
    nbgrader(tmp_path, "release_assignment", LAB)
    nbgrader(work, "fetch_assignment", LAB)
    before = time.time()
    nbgrader(work, "submit", LAB)
    (work / LAB / "job.sh").write_text("#!/bin/bash")
    nbgrader(work, "submit", LAB)

    settings_file.begin(tmp_path / "class", title="T", zone="UTC")
    course = settings_file.add(tmp_path / "class", [Student(id="ada", account=ME, hub=ME)])
    found = collect(course, LAB, exchange / "hpc", "auto", CollectOptions())
    receipts = [one.receipt for one in found if one.receipt]
    assert [(one.student, one.number, sorted(one.files)) for one in receipts] == [
        ("ada", 1, [f"{LAB}.ipynb"]),
        ("ada", 2, [f"{LAB}.ipynb", "job.sh"]),
    ]
    assert before - 1 <= receipts[0].received < receipts[1].received <= time.time()

"""The faults injected in lab 02/ex01 hit their target with any job id."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from hpclab.exercises import source, views

NOTEBOOK = "notebooks/02-checkpointing/ex01-basic-checkpoint.md"


def test_the_bit_flips_after_a_save_that_came_to_its_end(root: Path) -> None:
    text = (root / NOTEBOOK).read_text()
    [words] = re.findall(r"^for fault in (.*<\(yes .*); do$", text, re.MULTILINE)
    script = f"for SLURM_JOB_ID in $(seq 400); do echo {words}; done"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120)
    orders = [line.split() for line in said.stdout.splitlines()]
    assert len(orders) == 400
    assert all(set(one) == {"during", "rename", "power", "after", "rot"} for one in orders)
    assert {tuple(one[3:]) for one in orders} == {("after", "rot")}
    assert len({tuple(one) for one in orders}) > 1, "chance has no part in it"


def test_a_power_loss_takes_what_was_not_flushed(root: Path, tmp_path: Path) -> None:
    """A remnant of the last death that is written anew is as little on the disk as a new file."""
    cells = [cell.source for cell in views.reference_view(source.load(root / NOTEBOOK)).cells]
    [faults] = [text for text in cells if text.startswith("%%writefile faults.py\n")]
    (tmp_path / "faults.py").write_text(faults.partition("\n")[2])
    (tmp_path / "saves").mkdir()
    for name in ("old", "remnant", "grown", "flushed"):
        (tmp_path / "saves" / name).write_bytes(b"1" * 1000)
    program = """
import os
from pathlib import Path
import faults
saves = Path("saves")
faults.watch(saves)
(saves / "remnant").write_bytes(b"2" * 1000)
(saves / "new").write_bytes(b"2" * 1000)
with open(saves / "grown", "ab") as file:
    file.write(b"2" * 1000)
with open(saves / "flushed", "wb") as file:
    file.write(b"2" * 1000)
    file.flush()
    os.fsync(file.fileno())
faults.lose_power(saves)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60)
    assert done.returncode == -9
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "saves").iterdir()}
    assert sizes == {"old": 1000, "remnant": 0, "new": 0, "grown": 1000, "flushed": 1000}

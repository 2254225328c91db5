"""The faults of 02/ex01's storm: whatever the job's number, the bit that flips is one of a checkpoint, not of a remnant."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def test_the_bit_flips_after_a_save_that_came_to_its_end(root: Path) -> None:
    text = (root / "notebooks/02-checkpointing/ex01-basic-checkpoint.md").read_text()
    [words] = re.findall(r"^for fault in (.*<\(yes .*); do$", text, re.MULTILINE)
    script = f"for SLURM_JOB_ID in $(seq 400); do echo {words}; done"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120)
    orders = [line.split() for line in said.stdout.splitlines()]
    assert len(orders) == 400
    assert all(set(one) == {"during", "rename", "power", "after", "rot"} for one in orders)
    assert {tuple(one[3:]) for one in orders} == {("after", "rot")}
    assert len({tuple(one) for one in orders}) > 1, "chance has no part in it"

"""The commands and options that a lab's text may name, from manual pages of Slurm and Apptainer."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

from hpclab.app.doctor import find_packages
from hpclab.exercises import commands

# Commands whose manual pages the cluster's packages bring; apptainer has a page for each subcommand.
SLURM = (
    *("sbatch", "srun", "salloc", "sattach", "sbcast", "scancel", "scontrol", "strigger"),
    *("squeue", "sacct", "sacctmgr", "sinfo", "sprio", "sreport", "sshare", "sstat", "sdiag"),
)
# Pages whose names do not follow the rule "program-subcommand".
IRREGULAR = {"apptainer-run-help": ("apptainer", "run-help")}


def page_folders() -> list[Path]:
    """Folders with manual pages: of this machine, and of the cluster's packages if they are there."""
    packages = find_packages()
    return [Path("/usr/share/man/man1"), *([packages / "usr/share/man/man1"] if packages else [])]


def read_pages(folders: Sequence[Path]) -> commands.Manual:
    """Commands of Slurm and Apptainer that have a page in ``folders``, with their long options."""
    manual: dict[tuple[str, ...], frozenset[str]] = {}
    for folder in folders:
        for page in [folder / f"{name}.1.gz" for name in SLURM] + sorted(folder.glob("apptainer*.1.gz")):
            if page.is_file():
                text = gzip.decompress(page.read_bytes()).decode()
                manual[command_of(page.name.removesuffix(".1.gz"), folder)] = commands.options_in(text)
    return manual


def has_cluster_commands(manual: commands.Manual) -> bool:
    """Whether pages of both Slurm and Apptainer were found."""
    return {"sbatch", "apptainer"} <= {command[0] for command in manual}


def command_of(page: str, folder: Path) -> tuple[str, ...]:
    """apptainer-remote-get-login-password → apptainer, remote, get-login-password: each parent has a page."""
    if page in IRREGULAR:
        return IRREGULAR[page]
    parts = page.split("-")
    for length in range(len(parts) - 1, 0, -1):
        parent = "-".join(parts[:length])
        if (folder / f"{parent}.1.gz").is_file():
            return (*command_of(parent, folder), "-".join(parts[length:]))
    return (page,)

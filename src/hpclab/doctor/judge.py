"""What was seen of a machine or a site → a finding, with its remedy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from hpclab.sites import Site

PYTHON = (3, 11)
KERNEL = (5, 12)  # mount_setattr(2); overlay mounts by users came with 5.11
STATE_NEEDS = 300 << 20  # bytes: database, homes, logs of a small cluster
MEMORY_NEEDS = 600 << 20  # bytes: four nodes and their daemons, without any job
MEMORY_GOOD = 4 << 30
SLURM = ("sbatch", "srun", "squeue", "sacct", "scancel")
CONTAINERS = ("apptainer", "podman-hpc", "shifter", "singularity")

Verdict = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. ``fail``: the work cannot be done; ``warn``: it can, with something lacking."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


class Userns(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's switches for user namespaces; None where this kernel has no such switch."""

    maximum: int | None = None  # /proc/sys/user/max_user_namespaces
    clone: int | None = None  # /proc/sys/kernel/unprivileged_userns_clone (Debian)
    apparmor: int | None = None  # /proc/sys/kernel/apparmor_restrict_unprivileged_userns (Ubuntu)


def failed(findings: Sequence[Finding]) -> bool:
    return any(finding.verdict == "fail" for finding in findings)


# ---- the machine: what was seen -> a verdict -------------------------------------------------


def python(version: Sequence[int]) -> Finding:
    text = ".".join(map(str, version[:3]))
    if tuple(version[:2]) >= PYTHON:
        return Finding("Python", "ok", text)
    return Finding("Python", "fail", text, "Install Python 3.11 or newer: PYTHON=/path/to/it make lab")


def kernel(release: str) -> Finding:
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if len(numbers) < 2:
        return Finding(
            "Linux kernel", "warn", f"{release}: which version is that?", "5.12 or newer is needed."
        )
    if numbers >= KERNEL:
        return Finding("Linux kernel", "ok", release)
    return Finding(
        "Linux kernel", "fail", f"{release}; 5.12 or newer is needed", "Use Debian 12, Ubuntu 22.04 or newer."
    )


def user_namespaces(switches: Userns, *, by_root: bool) -> Finding:
    name = "user namespaces"
    if switches.maximum == 0:
        return Finding(
            name,
            "fail",
            "/proc/sys/user/max_user_namespaces is 0",
            "An administrator can allow them: sudo sysctl user.max_user_namespaces=15000",
        )
    if not by_root and switches.clone == 0:
        return Finding(
            name,
            "fail",
            "/proc/sys/kernel/unprivileged_userns_clone is 0",
            "An administrator can allow them: sudo sysctl kernel.unprivileged_userns_clone=1",
        )
    if not by_root and switches.apparmor == 1:
        return Finding(
            name,
            "fail",
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1",
            "An administrator can allow them: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )
    return Finding(name, "ok", "allowed")


def overlay(problem: str) -> Finding:
    """``problem`` is what a trial in a throw-away namespace complained of; empty: it worked."""
    name = "overlayfs in a namespace"
    if not problem:
        return Finding(name, "ok", "works")
    return Finding(
        name,
        "fail",
        problem,
        "If user namespaces are allowed: load the module (sudo modprobe overlay). Inside Docker or Podman, "
        "start the container with --security-opt seccomp=unconfined, and with a volume at /var/lib/hpclab.",
    )


def sub_ids(
    user: str,
    uid_counts: Sequence[int],
    gid_counts: Sequence[int],
    newuidmap: str | None,
    *,
    least: int,
    by_root: bool,
) -> Finding:
    """``..._counts``: how many ids each range of this user in /etc/subuid and /etc/subgid has."""
    name = "sub-ids for other accounts"
    if by_root:
        return Finding(name, "ok", "root takes its own")
    for path, counts in {"/etc/subuid": uid_counts, "/etc/subgid": gid_counts}.items():
        if max(counts, default=0) < least:
            has = f"a range of {max(counts)}" if counts else "no range"
            return Finding(
                name,
                "fail",
                f"{path} gives {user} {has}; {least} ids are needed",
                "An administrator, once: "
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
            )
    if not newuidmap:
        return Finding(
            name, "fail", "newuidmap is not installed", "An administrator, once: sudo apt-get install uidmap"
        )
    return Finding(name, "ok", f"{max(uid_counts)}, handed out by {newuidmap}")


def device(path: str, present: bool, usable: bool, without: str, *, by_root: bool) -> Finding:
    """``without``: what is lacking when nobody can use the device."""
    if present and (usable or by_root):
        return Finding(path, "ok", "usable")
    if not present:
        module = path.rsplit("/", 1)[1]
        return Finding(
            path, "warn", f"not there: {without}", f"An administrator, once: sudo modprobe {module}"
        )
    return Finding(
        path, "warn", f"closed to you: {without}", f"An administrator, once: sudo chmod 666 {path}"
    )


def memory_limits(version: str, enforced: str) -> Finding:
    """``version`` of the machine's cgroups (v1, v2, none), ``enforced``: which of them a cluster can use."""
    name = "memory limits"
    if enforced != "none":
        return Finding(name, "ok", f"cgroup {enforced}: the kernel stops a job that takes too much, at once")
    has = f"cgroup {version}, not ours to use" if version != "none" else "no cgroup"
    return Finding(
        name,
        "warn",
        f"{has}: Slurm looks every second and stops a job that takes too much",
        "Nothing to do: labs work with both.",
    )


def disk(what: str, folder: Path, free: int, needed: int, variable: str) -> Finding:
    name = f"disk for {what}"
    found = f"{_size(free)} free in {folder}"
    if free < needed:
        return Finding(
            name,
            "fail",
            f"{found}; {_size(needed)} are needed",
            f"Make room, or set {variable} to another folder.",
        )
    if free < 2 * needed:
        return Finding(name, "warn", f"{found}: little", f"Make room, or set {variable} to another folder.")
    return Finding(name, "ok", found)


def memory(total: int, available: int) -> Finding:
    found = f"{_size(available)} of {_size(total)} free"
    if available < MEMORY_NEEDS:
        return Finding("memory", "fail", found, f"A cluster takes {_size(MEMORY_NEEDS)}: close something.")
    if available < MEMORY_GOOD:
        return Finding("memory", "warn", found, "Enough for the cluster, little for large jobs.")
    return Finding("memory", "ok", found)


def packages(where: Path | None, lacking: Sequence[tuple[str, str, str]], apt_get: str | None) -> Finding:
    """``where``: the complete folder, None before the first start. ``lacking``: (what, why, remedy)."""
    name = "system packages"
    if where is None and not apt_get:
        return Finding(
            name,
            "fail",
            "not unpacked yet, and there is no apt-get to fetch them",
            "Use a machine, container or virtual machine with Debian 12 or newer or Ubuntu 24.04 or newer.",
        )
    if where is None:
        return Finding(name, "ok", "not unpacked yet: the first `hpclab up` does it, or `hpclab packages`")
    if lacking:
        said = "; ".join(f"{what} is missing ({why})" for what, why, _ in lacking)
        return Finding(name, "warn", said, " ".join(remedy for _, _, remedy in lacking))
    return Finding(name, "ok", f"complete, in {where}")


def writable(what: str, folder: Path, problem: str, variable: str) -> Finding:
    if not problem:
        return Finding(what, "ok", str(folder))
    return Finding(what, "fail", f"{folder}: {problem}", f"Set {variable} to a folder that you may write.")


def reachable(problem: str, remedy: str) -> Finding:
    """``problem``: why the learner's account on the cluster could not reach the course; empty: it can."""
    name = "course and its Python"
    return (
        Finding(name, "fail", problem, remedy)
        if problem
        else Finding(name, "ok", "every account can reach them")
    )


def gpus(devices: Sequence[str]) -> Finding:
    if devices:
        return Finding("GPUs", "ok", f"{len(devices)}: {', '.join(devices)}")
    return Finding("GPUs", "ok", "none: the cluster's are emulated (scheduling is real, CUDA is not there)")


# ---- a site ----------------------------------------------------------------------------------


def slurm_commands(found: Mapping[str, str | None]) -> Finding:
    """``found``: each command with its path, None where it is missing."""
    missing = [name for name, path in found.items() if path is None]
    if missing:
        return Finding(
            "Slurm's commands",
            "fail",
            f"not on PATH: {', '.join(missing)}",
            "Run this on a login node of the site; on your own machine, `hpclab up` starts a cluster.",
        )
    return Finding("Slurm's commands", "ok", ", ".join(found))


def controller(answer: str) -> Finding:
    """``answer`` of `scontrol ping`."""
    if " UP" in answer:
        return Finding("Slurm's controller", "ok", answer.strip().splitlines()[0])
    said = answer.strip().splitlines()[-1] if answer.strip() else "no answer"
    return Finding("Slurm's controller", "fail", said, "Look at the site's status page; try again later.")


def container_programs(found: Mapping[str, str | None]) -> Finding:
    there = [name for name, path in found.items() if path]
    if there:
        return Finding("containers", "ok", ", ".join(there))
    return Finding(
        "containers", "warn", f"none of {', '.join(found)}", "Labs with images need one: try `module avail`."
    )


def account(site: Site, environ: Mapping[str, str]) -> Finding:
    """Whether a job will name an account that is charged."""
    variable = site.submit.account_env
    if value := environ.get(variable, "") if variable else "":
        return Finding("account", "ok", f"{variable}={value}")
    if site.submit.account or not variable:
        return Finding("account", "ok", site.submit.account or "the default one: this site needs none")
    return Finding(
        "account",
        "warn",
        f"{variable} is not set: jobs are charged to your default project",
        f"Name the project: export {variable}=m1234 (yours: sacctmgr show assoc user=$USER format=account)",
    )


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"

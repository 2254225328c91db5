"""Turn values of a machine or site into diagnoses with remedies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from hpclab.sites import Site

MIN_PYTHON = (3, 11)
MIN_KERNEL = (5, 12)  # mount_setattr(2); overlay mounts by users came with 5.11
STATE_BYTES = 300 << 20  # bytes: database, homes, logs of a small cluster
MIN_MEMORY_BYTES = 600 << 20  # bytes: four nodes and their daemons, without any job
GOOD_MEMORY_BYTES = 4 << 30
SLURM_COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel")
CONTAINER_COMMANDS = ("apptainer", "podman-hpc", "shifter", "singularity")

Verdict = Literal["ok", "warn", "fail"]


class Diagnosis(msgspec.Struct, frozen=True):
    """The result of one check. ``fail``: the cluster or labs cannot run; ``warn``: they can, with a limitation."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


class UsernsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's settings for user namespaces; None if this kernel does not have the setting."""

    maximum: int | None = None  # /proc/sys/user/max_user_namespaces
    clone: int | None = None  # /proc/sys/kernel/unprivileged_userns_clone (Debian)
    apparmor: int | None = None  # /proc/sys/kernel/apparmor_restrict_unprivileged_userns (Ubuntu)


def any_failed(findings: Sequence[Diagnosis]) -> bool:
    return any(finding.verdict == "fail" for finding in findings)


# ---- the machine ------------------------------------------------------------------------------


def check_python(version: Sequence[int]) -> Diagnosis:
    text = ".".join(map(str, version[:3]))
    if tuple(version[:2]) >= MIN_PYTHON:
        return Diagnosis("Python", "ok", text)
    return Diagnosis("Python", "fail", text, "Install Python 3.11 or newer: MIN_PYTHON=/path/to/it make lab")


def check_kernel(release: str) -> Diagnosis:
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if len(numbers) < 2:
        return Diagnosis(
            "Linux kernel", "warn", f"unknown version {release}", "Linux 5.12 or newer is needed."
        )
    if numbers >= MIN_KERNEL:
        return Diagnosis("Linux kernel", "ok", release)
    return Diagnosis(
        "Linux kernel", "fail", f"{release}; 5.12 or newer is needed", "Use Debian 12, Ubuntu 22.04 or newer."
    )


def check_user_namespaces(switches: UsernsSettings, *, by_root: bool) -> Diagnosis:
    name = "user namespaces"
    if switches.maximum == 0:
        return Diagnosis(
            name,
            "fail",
            "/proc/sys/user/max_user_namespaces is 0",
            "Ask an administrator to allow them: sudo sysctl user.max_user_namespaces=15000",
        )
    if not by_root and switches.clone == 0:
        return Diagnosis(
            name,
            "fail",
            "/proc/sys/kernel/unprivileged_userns_clone is 0",
            "Ask an administrator to allow them: sudo sysctl kernel.unprivileged_userns_clone=1",
        )
    if not by_root and switches.apparmor == 1:
        return Diagnosis(
            name,
            "fail",
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1",
            "Ask an administrator to allow them: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )
    return Diagnosis(name, "ok", "allowed")


def check_overlay(problem: str) -> Diagnosis:
    """``problem`` is the error of a trial in a temporary namespace; empty if it worked."""
    name = "overlayfs in a namespace"
    if not problem:
        return Diagnosis(name, "ok", "works")
    return Diagnosis(
        name,
        "fail",
        problem,
        "If user namespaces are allowed, load the module: sudo modprobe overlay. In Docker or Podman, "
        "start the container with --security-opt seccomp=unconfined and a volume at /var/lib/hpclab.",
    )


def check_sub_ids(
    user: str,
    uid_counts: Sequence[int],
    gid_counts: Sequence[int],
    newuidmap: str | None,
    *,
    least: int,
    by_root: bool,
) -> Diagnosis:
    """``..._counts``: the sizes of this user's ranges in /etc/subuid and /etc/subgid."""
    name = "sub-ids for other accounts"
    if by_root:
        return Diagnosis(name, "ok", "root needs none")
    for path, counts in {"/etc/subuid": uid_counts, "/etc/subgid": gid_counts}.items():
        if max(counts, default=0) < least:
            has = f"a range of {max(counts)}" if counts else "no range"
            return Diagnosis(
                name,
                "fail",
                f"{path} gives {user} {has}; {least} ids are needed",
                "Ask an administrator to run: "
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
            )
    if not newuidmap:
        return Diagnosis(
            name,
            "fail",
            "newuidmap is not installed",
            "Ask an administrator to run: sudo apt-get install uidmap",
        )
    return Diagnosis(name, "ok", f"{max(uid_counts)}, mapped by {newuidmap}")


def check_device(path: str, present: bool, usable: bool, without: str, *, by_root: bool) -> Diagnosis:
    """``without``: the limitation if the device cannot be used."""
    if present and (usable or by_root):
        return Diagnosis(path, "ok", "usable")
    if not present:
        module = path.rsplit("/", 1)[1]
        return Diagnosis(
            path, "warn", f"missing: {without}", f"Ask an administrator to run: sudo modprobe {module}"
        )
    return Diagnosis(
        path, "warn", f"no permission: {without}", f"Ask an administrator to run: sudo chmod 666 {path}"
    )


def check_memory_limits(version: str, enforced: str) -> Diagnosis:
    """``version``: the machine's cgroups (v1, v2, none); ``enforced``: the version that a cluster can use."""
    name = "memory limits"
    if enforced != "none":
        return Diagnosis(name, "ok", f"cgroup {enforced}: the kernel stops a job above its limit at once")
    has = f"cgroup {version}, without write permission" if version != "none" else "no cgroup"
    return Diagnosis(
        name,
        "warn",
        f"{has}: Slurm checks every second and stops a job above its limit",
        "No action is needed. Labs work with both.",
    )


def check_disk(what: str, folder: Path, free: int, needed: int, variable: str) -> Diagnosis:
    name = f"disk for {what}"
    text = f"{_format_size(free)} free in {folder}"
    if free < needed:
        return Diagnosis(
            name,
            "fail",
            f"{text}; {_format_size(needed)} are needed",
            f"Free some space, or set {variable} to another folder.",
        )
    if free < 2 * needed:
        return Diagnosis(
            name, "warn", f"{text}: little", f"Free some space, or set {variable} to another folder."
        )
    return Diagnosis(name, "ok", text)


def check_memory(total: int, available: int) -> Diagnosis:
    text = f"{_format_size(available)} of {_format_size(total)} free"
    if available < MIN_MEMORY_BYTES:
        return Diagnosis(
            "memory", "fail", text, f"A cluster needs {_format_size(MIN_MEMORY_BYTES)}. Close other programs."
        )
    if available < GOOD_MEMORY_BYTES:
        return Diagnosis("memory", "warn", text, "This is enough for the cluster, but not for large jobs.")
    return Diagnosis("memory", "ok", text)


def check_packages(
    prefix: Path | None, missing_packages: Sequence[tuple[str, str, str]], apt_get: str | None
) -> Diagnosis:
    """``where``: the complete folder, None before the first start. ``lacking``: (what, why, remedy)."""
    name = "system packages"
    if prefix is None and not apt_get:
        return Diagnosis(
            name,
            "fail",
            "not unpacked yet, and there is no apt-get to fetch them",
            "Use a machine, container or virtual machine with Debian 12 or newer or Ubuntu 24.04 or newer.",
        )
    if prefix is None:
        return Diagnosis(name, "ok", "not unpacked yet: `hpclab packages` or the first `hpclab up` does it")
    if missing_packages:
        text = "; ".join(f"{what} is missing ({why})" for what, why, _ in missing_packages)
        return Diagnosis(name, "warn", text, " ".join(remedy for _, _, remedy in missing_packages))
    return Diagnosis(name, "ok", f"complete, in {prefix}")


def check_writable(what: str, folder: Path, problem: str, variable: str) -> Diagnosis:
    if not problem:
        return Diagnosis(what, "ok", str(folder))
    return Diagnosis(
        what, "fail", f"{folder}: {problem}", f"Set {variable} to a folder that you can write to."
    )


def check_reachable(problem: str, remedy: str) -> Diagnosis:
    """``problem``: why the learner's account on the cluster cannot read the course; empty if it can."""
    name = "course and its Python"
    return (
        Diagnosis(name, "fail", problem, remedy)
        if problem
        else Diagnosis(name, "ok", "every account can read them")
    )


def check_gpus(devices: Sequence[str]) -> Diagnosis:
    if devices:
        return Diagnosis("GPUs", "ok", f"{len(devices)}: {', '.join(devices)}")
    return Diagnosis("GPUs", "ok", "none: the cluster emulates them (scheduling works, CUDA does not)")


# ---- a site ----------------------------------------------------------------------------------


def check_slurm_commands(found: Mapping[str, str | None]) -> Diagnosis:
    """``found``: the path of each command, None if it is missing."""
    missing = [name for name, path in found.items() if path is None]
    if missing:
        return Diagnosis(
            "Slurm's commands",
            "fail",
            f"not on PATH: {', '.join(missing)}",
            "Run this on a login node of the site. On your own machine, `hpclab up` starts a cluster.",
        )
    return Diagnosis("Slurm's commands", "ok", ", ".join(found))


def check_controller(answer: str) -> Diagnosis:
    """``answer``: the output of `scontrol ping`."""
    if " UP" in answer:
        return Diagnosis("Slurm's controller", "ok", answer.strip().splitlines()[0])
    text = answer.strip().splitlines()[-1] if answer.strip() else "no answer"
    return Diagnosis("Slurm's controller", "fail", text, "See the site's status page, and try again later.")


def check_container_programs(found: Mapping[str, str | None]) -> Diagnosis:
    present = [name for name, path in found.items() if path]
    if present:
        return Diagnosis("containers", "ok", ", ".join(present))
    return Diagnosis(
        "containers",
        "warn",
        f"none of {', '.join(found)}",
        "Labs with container images need one. Try `module avail`.",
    )


def check_account(site: Site, environ: Mapping[str, str]) -> Diagnosis:
    """Check whether jobs name an account to charge."""
    variable = site.submit.account_env
    if value := environ.get(variable, "") if variable else "":
        return Diagnosis("account", "ok", f"{variable}={value}")
    if site.submit.account or not variable:
        return Diagnosis("account", "ok", site.submit.account or "the default account: this site needs none")
    return Diagnosis(
        "account",
        "warn",
        f"{variable} is not set: jobs are charged to your default project",
        f"Set the project: export {variable}=m1234 (list yours: sacctmgr show assoc user=$USER format=account)",
    )


def _format_size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"

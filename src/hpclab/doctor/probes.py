"""Read the values of this machine or site, and run the checks on them."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpclab import layout, shell
from hpclab.doctor import checks
from hpclab.doctor.checks import Diagnosis
from hpclab.errors import HpclabError
from hpclab.sites import Site


def examine_machine(
    *,
    user: str,
    uid_counts: Sequence[int],
    gid_counts: Sequence[int],
    least_ids: int,
    cgroup: str,
    prefix: Path | None,
    missing_packages: Sequence[tuple[str, str, str]],
    packages_need: int,
    memory_total: int,
    memory_available: int,
    hidden: tuple[str, str],
    by_root: bool,
) -> list[Diagnosis]:
    """Check everything that `hpclab up` needs. ``hidden``: the arguments of ``check_reachable``."""
    state, cache = layout.state_home(), layout.cache_home()
    switches = checks.UsernsSettings(
        maximum=_number("/proc/sys/user/max_user_namespaces"),
        clone=_number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor=_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    )
    findings = [
        checks.check_python(sys.version_info[:3]),
        checks.check_reachable(*hidden),
        checks.check_kernel(platform.release()),
        checks.check_user_namespaces(switches, by_root=by_root),
        checks.check_overlay(try_overlay()),
        checks.check_sub_ids(
            user, uid_counts, gid_counts, shutil.which("newuidmap"), least=least_ids, by_root=by_root
        ),
        checks.check_packages(prefix, missing_packages, shutil.which("apt-get")),
        _writable("folder for clusters", state, "HPCLAB_STATE"),
        _writable("folder for packages", cache, "HPCLAB_CACHE"),
        checks.check_disk("clusters", state, _free_bytes(state), checks.STATE_BYTES, "HPCLAB_STATE"),
        checks.check_memory(memory_total, memory_available),
        checks.check_memory_limits(cgroup_version(), cgroup),
        _device("/dev/fuse", "images are unpacked at each start, which takes some seconds", by_root=by_root),
        _device("/dev/net/tun", "the login node has no outbound network", by_root=by_root),
        checks.check_gpus(sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))),
    ]
    if prefix is None:
        findings.insert(
            9, checks.check_disk("packages", cache, _free_bytes(cache), packages_need, "HPCLAB_CACHE")
        )
    return findings


def examine_site(
    site: Site, environ: Mapping[str, str], which: Callable[[str], str | None] = shutil.which
) -> list[Diagnosis]:
    """Check everything that the labs need of a site; run on its login node."""
    findings = [
        checks.check_python(sys.version_info[:3]),
        checks.check_slurm_commands({name: which(name) for name in checks.SLURM_COMMANDS}),
    ]
    if which("scontrol"):
        try:
            findings.append(
                checks.check_controller(shell.run(["scontrol", "ping"], check=False, timeout=20).stdout)
            )
        except HpclabError as problem:
            findings.append(checks.check_controller(problem.problem))
    findings.append(
        checks.check_container_programs({name: which(name) for name in checks.CONTAINER_COMMANDS})
    )
    findings.append(checks.check_account(site, environ))
    return findings


def try_overlay() -> str:
    """Mount an overlay of /usr in a temporary namespace; return the error, or an empty string."""
    script = (
        "set -e; mount -t tmpfs trial /mnt; mkdir /mnt/over /mnt/union;"
        " mount -t overlay -o lowerdir=/mnt/over:/usr overlay /mnt/union; test -d /mnt/union/bin"
    )
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script]
    try:
        result = shell.run(argv, check=False, timeout=20)
    except HpclabError as problem:
        return problem.problem
    if result.returncode == 0:
        return ""
    return (
        result.stderr.strip().splitlines()[-1]
        if result.stderr.strip()
        else f"exit status {result.returncode}"
    )


def cgroup_version(root: Path = Path("/sys/fs/cgroup")) -> str:
    """Return the machine's cgroup version: v1, v2 or none."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "v1" if (root / "memory").is_dir() else "none"


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _device(path: str, without: str, *, by_root: bool) -> Diagnosis:
    return checks.check_device(
        path, Path(path).exists(), os.access(path, os.R_OK | os.W_OK), without, by_root=by_root
    )


def _writable(what: str, folder: Path, variable: str) -> Diagnosis:
    """Check write permission with a temporary file in the folder or its nearest existing parent."""
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(folder)):
            problem = ""
    except OSError as error:
        problem = error.strerror or str(error)
    return checks.check_writable(what, folder, problem, variable)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(_nearest_existing(folder)).free


def _nearest_existing(folder: Path) -> Path:
    """Return ``folder``, or its nearest parent that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())

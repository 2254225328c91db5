"""Look at the machine or the site, and hand what was seen to ``judge``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpclab import layout, shell
from hpclab.doctor import judge
from hpclab.doctor.judge import Finding
from hpclab.errors import HpclabError
from hpclab.sites import Site


def of_machine(
    *,
    user: str,
    uid_counts: Sequence[int],
    gid_counts: Sequence[int],
    least_ids: int,
    cgroup: str,
    prefix: Path | None,
    lacking: Sequence[tuple[str, str, str]],
    packages_need: int,
    memory_total: int,
    memory_available: int,
    hidden: tuple[str, str],
    by_root: bool,
) -> list[Finding]:
    """Everything `hpclab up` needs of this machine. ``hidden``: what `reachable` judges."""
    state, cache = layout.state_home(), layout.cache_home()
    switches = judge.Userns(
        maximum=_number("/proc/sys/user/max_user_namespaces"),
        clone=_number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor=_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    )
    findings = [
        judge.python(sys.version_info[:3]),
        judge.reachable(*hidden),
        judge.kernel(platform.release()),
        judge.user_namespaces(switches, by_root=by_root),
        judge.overlay(try_overlay()),
        judge.sub_ids(
            user, uid_counts, gid_counts, shutil.which("newuidmap"), least=least_ids, by_root=by_root
        ),
        judge.packages(prefix, lacking, shutil.which("apt-get")),
        _writable("folder for clusters", state, "HPCLAB_STATE"),
        _writable("folder for packages", cache, "HPCLAB_CACHE"),
        judge.disk("clusters", state, _free(state), judge.STATE_NEEDS, "HPCLAB_STATE"),
        judge.memory(memory_total, memory_available),
        judge.memory_limits(cgroup_version(), cgroup),
        _device("/dev/fuse", "images are unpacked at each start, which takes seconds", by_root=by_root),
        _device("/dev/net/tun", "the login node cannot reach the outside", by_root=by_root),
        judge.gpus(sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))),
    ]
    if prefix is None:
        findings.insert(9, judge.disk("packages", cache, _free(cache), packages_need, "HPCLAB_CACHE"))
    return findings


def of_site(
    site: Site, environ: Mapping[str, str], which: Callable[[str], str | None] = shutil.which
) -> list[Finding]:
    """Everything the labs need of a real site, seen from its login node."""
    findings = [
        judge.python(sys.version_info[:3]),
        judge.slurm_commands({name: which(name) for name in judge.SLURM}),
    ]
    if which("scontrol"):
        try:
            findings.append(judge.controller(shell.run(["scontrol", "ping"], check=False, timeout=20).stdout))
        except HpclabError as problem:
            findings.append(judge.controller(problem.problem))
    findings.append(judge.container_programs({name: which(name) for name in judge.CONTAINERS}))
    findings.append(judge.account(site, environ))
    return findings


def try_overlay() -> str:
    """Mount a union over /usr in a namespace that ends with the trial; what went wrong, or nothing."""
    script = (
        "set -e; mount -t tmpfs trial /mnt; mkdir /mnt/over /mnt/union;"
        " mount -t overlay -o lowerdir=/mnt/over:/usr overlay /mnt/union; test -d /mnt/union/bin"
    )
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script]
    try:
        done = shell.run(argv, check=False, timeout=20)
    except HpclabError as problem:
        return problem.problem
    if done.returncode == 0:
        return ""
    return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"


def cgroup_version(root: Path = Path("/sys/fs/cgroup")) -> str:
    """Which kind of cgroups this machine has."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "v1" if (root / "memory").is_dir() else "none"


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _device(path: str, without: str, *, by_root: bool) -> Finding:
    return judge.device(
        path, Path(path).exists(), os.access(path, os.R_OK | os.W_OK), without, by_root=by_root
    )


def _writable(what: str, folder: Path, variable: str) -> Finding:
    """Write into the folder, or into the nearest one above it that is there; nothing stays."""
    try:
        with tempfile.TemporaryFile(dir=_there(folder)):
            problem = ""
    except OSError as refused:
        problem = refused.strerror or str(refused)
    return judge.writable(what, folder, problem, variable)


def _free(folder: Path) -> int:
    return shutil.disk_usage(_there(folder)).free


def _there(folder: Path) -> Path:
    """``folder``, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())

"""Checks of this machine (can it run the embedded cluster?) or of a site (is it ready for the labs?)."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import psutil

from hpclab.app.clusters import load_site
from hpclab.cluster import cgroups, visibility
from hpclab.doctor import probes
from hpclab.doctor.checks import Diagnosis
from hpclab.errors import HpclabError
from hpclab.layout import cache_home, clone_folder
from hpclab.packages import apptainer, prefix
from hpclab.sandbox import ids


def examine(site: str) -> list[Diagnosis]:
    """What is ready and what is missing: on this machine for ``local``, else on a login node of the site."""
    return examine_machine() if site == "local" else probes.examine_site(load_site(site), os.environ)


def examine_machine() -> list[Diagnosis]:
    """What the embedded cluster needs of this machine. Nothing is fetched or written."""
    uid = os.geteuid()
    by_root = uid == 0
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    counts = {
        name: [count for _, count in ids.subids(Path("/etc", name), uid)] for name in ("subuid", "subgid")
    }
    packages = find_packages()
    memory = psutil.virtual_memory()
    return probes.examine_machine(
        user=user,
        uid_counts=counts["subuid"],
        gid_counts=counts["subgid"],
        least_ids=ids.CLUSTER_COUNT,
        cgroup=cgroups.version(by_root=by_root),
        prefix=packages,
        missing_packages=[
            (part.what, part.why, part.remedy) for part in prefix.read_manifest(packages).missing
        ]
        if packages
        else [],
        packages_need=prefix.NEEDED_BYTES,
        memory_total=memory.total,
        memory_available=memory.available,
        hidden=_check_visibility(by_root=by_root),
        by_root=by_root,
    )


def find_packages() -> Path | None:
    """The folder of the cluster's packages if it is complete; nothing is fetched."""
    try:
        with_apptainer = apptainer.find_installed() is None
        key = prefix.prefix_name(
            prefix.detect_distribution(), prefix.detect_architecture(), with_apptainer=with_apptainer
        )
    except HpclabError:
        return None
    folder = cache_home() / "packages" / key
    return folder if prefix.is_complete(folder) else None


def _check_visibility(*, by_root: bool) -> tuple[str, str]:
    """Why the course's folders cannot be shown to the cluster, and the remedy; empty where they can."""
    try:
        visibility.check([clone_folder(), Path(sys.prefix), Path(sys.base_prefix)], by_root=by_root)
    except HpclabError as problem:
        return problem.problem, problem.remedy
    return "", ""

"""Accounts inside the cluster, and the ids of the host behind them.

An ordinary user keeps their own user id, so files stay theirs; the cluster's root, the daemons and the extra
accounts are sub-ids (``/etc/subuid``). When the host's root starts a cluster, every account inside, including the
learner, is a sub-id: no process of the cluster has any right of the host's root. One exception: with control
groups of version 1, where the kernel lets only the host's root move another user's process, the cluster's root
has the host's root id, though none of its capabilities.
"""

from __future__ import annotations

import itertools
import os
import pwd

import msgspec

from hpclab.errors import HostUnsuitable
from hpclab.sandbox import ids

DAEMONS = {"slurm": 960, "mysql": 961, "munge": 962}
GRADER = 990

NOBODY = 65534


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account inside the cluster."""

    name: str
    uid: int
    gid: int
    home: str
    title: str
    shell: str = "/bin/bash"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster's accounts, and the id maps as (inside, outside, count)."""

    by_root: bool
    learner: Account
    accounts: tuple[Account, ...]  # additional accounts
    daemons: tuple[Account, ...]
    uid_map: tuple[tuple[int, int, int], ...]
    gid_map: tuple[tuple[int, int, int], ...]
    subids: tuple[int, int]  # ids inside, available to the learner's image builds

    @property
    def housed(self) -> tuple[Account, ...]:
        """Accounts whose home is in the cluster's folder: all but an ordinary user who starts it."""
        return (self.learner, *self.accounts) if self.by_root else self.accounts

    @property
    def people(self) -> tuple[Account, ...]:
        return (self.learner, *self.accounts)

    @property
    def maps(self) -> ids.Maps:
        """The id maps to write for the kernel."""
        owner = ids.Owner.ROOT if self.by_root else ids.Owner.SUBIDS
        return ids.Maps(owner=owner, uids=self.uid_map, gids=self.gid_map)

    def outside_uid(self, inside: int) -> int:
        """Return the host's id behind ``inside``."""
        return _outside(self.uid_map, inside)

    def outside_gid(self, inside: int) -> int:
        return _outside(self.gid_map, inside)


def _outside(rows: tuple[tuple[int, int, int], ...], inside: int) -> int:
    for first, host, count in rows:
        if first <= inside < first + count:
            return host + inside - first
    raise ValueError(f"id {inside} is not mapped")


def for_user(
    name: str, uid: int, gid: int, home: str, subuid: tuple[int, int], subgid: tuple[int, int]
) -> Identity:
    """Return the identity of a cluster started by an ordinary user; sub-ids as (first, count)."""
    learner = Account(name=name, uid=uid, gid=gid, home=home, title="learner")
    return _identity(
        learner, around(uid, subuid), around(gid, subgid), min(subuid[1], subgid[1]), by_root=False
    )


def for_root(*, cgroup: str) -> Identity:
    """Return the identity of a cluster started by the host's root."""
    first, count = ids.ROOT_CLUSTER
    learner = Account(name="learner", uid=1000, gid=1000, home="/home/learner", title="learner")
    rows = ((0, first, count),) if cgroup != "v1" else ((0, 0, 1), (1, first + 1, count - 1))
    return _identity(learner, rows, rows, count, by_root=True)


def for_isolated(allocation: ids.Allocation) -> Identity:
    """Return the identity of an isolated cluster: every account inside is a sub-id, whoever starts it."""
    learner = Account(name="learner", uid=1000, gid=1000, home="/home/learner", title="learner")
    grader = Account(name="grader", uid=GRADER, gid=GRADER, home="/home/grader", title="grader")
    return Identity(
        by_root=allocation.owner == ids.Owner.ROOT,
        learner=learner,
        accounts=(grader,),
        daemons=_daemons(),
        uid_map=_with_nobody(allocation.range.uid, allocation.range.count),
        gid_map=_with_nobody(allocation.range.gid, allocation.range.count),
        subids=(0, 0),  # image builds need set-uid programs, which don't work there
    )


def _with_nobody(first: int, count: int) -> tuple[tuple[int, int, int], ...]:
    """Map ids from 0 upwards, and the id of ``nobody`` where the range doesn't reach that far."""
    if count > NOBODY:
        return ((0, first, count),)
    return ((0, first, count - 1), (NOBODY, first + count - 1, 1))


def _identity(
    learner: Account,
    uid_map: tuple[tuple[int, int, int], ...],
    gid_map: tuple[tuple[int, int, int], ...],
    count: int,
    *,
    by_root: bool,
) -> Identity:
    people = 2000 if not 2000 <= learner.uid < 3000 else 3000
    names = ["instructor"] + [f"student{number}" for number in range(1, 41)]
    return Identity(
        by_root=by_root,
        learner=learner,
        accounts=tuple(
            Account(name=name, uid=people + i, gid=people + i, home=f"/home/{name}", title="course account")
            for i, name in enumerate(names)
            if name != learner.name
        ),
        daemons=_daemons(),
        uid_map=uid_map,
        gid_map=gid_map,
        subids=_for_image_builds(count, learner),
    )


def _daemons() -> tuple[Account, ...]:
    return tuple(
        Account(
            name=name, uid=number, gid=number, home="/", title=f"{name} daemon", shell="/usr/sbin/nologin"
        )
        for name, number in DAEMONS.items()
    )


def _for_image_builds(count: int, learner: Account) -> tuple[int, int]:
    """Return unused ids inside as (first, count): an id in use can't be mapped a second time.

    Central directories give users ids in the middle of the range, so the longest gap is taken.
    """
    low, high = (65536, 2 * 65536) if count >= 2 * 65536 else (10_000, 60_000)
    taken = sorted({number for number in (learner.uid, learner.gid) if low <= number < high})
    edges = [low - 1, *taken, high]
    longest, first = max((after - before - 1, before + 1) for before, after in itertools.pairwise(edges))
    return first, longest


def around(own: int, sub: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
    """Map ``own`` to itself and all other ids, from 0 upwards, to the sub-ids in order."""
    first, count = sub
    if own >= count:
        return ((0, first, count), (own, own, 1))
    return ((0, first, own), (own, own, 1), (own + 1, first + own, count - own))


def of_this_process(*, cgroup: str) -> Identity:
    """Return the identity for the user running this process. Raises HostUnsuitable without sub-ids."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        return for_root(cgroup=cgroup)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise HostUnsuitable(
            f"user id {uid} has no entry in this machine's user database",
            "Start the cluster from a named account.",
        ) from None
    if entry.pw_name in DAEMONS or {uid, gid} & set(DAEMONS.values()):
        raise HostUnsuitable(
            f"account {entry.pw_name} (uid {uid}, gid {gid}) has the name or the number of one of the cluster's daemons",
            "Start the cluster from an ordinary account; taken are "
            + ", ".join(f"{name} ({number})" for name, number in DAEMONS.items())
            + ".",
        )
    subuid, subgid = _subids(uid)
    return for_user(entry.pw_name, uid, gid, entry.pw_dir, subuid, subgid)


def _subids(uid: int) -> list[tuple[int, int]]:
    """Return the first large enough ranges of sub-uids and sub-gids. Raises HostUnsuitable."""
    ranges = [
        next((one for one in ids.subids(path, uid) if one[1] >= ids.CLUSTER_COUNT), None)
        for path in ids.FILES
    ]
    if None in ranges:
        raise ids.no_subids(uid, ids.CLUSTER_COUNT)
    return [one for one in ranges if one]

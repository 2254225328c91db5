"""Who is who, and which ids stand behind them."""

from __future__ import annotations

import itertools
import os
import pwd

import pytest

from hpclab.cluster.identity import Identity, around, for_root, for_user, of_this_process
from hpclab.errors import HostUnsuitable

Rows = tuple[tuple[int, int, int], ...]


def overlapping(rows: Rows) -> bool:
    """Whether the kernel would refuse the map (user_namespaces(7): ranges must not overlap)."""
    return any(
        a[side] < b[side] + b[2] and b[side] < a[side] + a[2]
        for a, b in itertools.combinations(rows, 2)
        for side in (0, 1)
    )


@pytest.mark.parametrize("own", [1, 1000, 1001, 9999, 65535, 65536, 70000, 2_000_000])
@pytest.mark.parametrize("sub", [(100000, 65536), (524288, 131072)])
def test_the_own_id_stays_itself(own: int, sub: tuple[int, int]) -> None:
    rows = around(own, sub)
    assert not overlapping(rows)
    assert (own, own, 1) in rows
    assert all(count > 0 for _, _, count in rows)
    covered = {number for first, _, count in rows for number in range(first, first + count)}
    assert covered >= set(range(min(sub[1], 65536)))
    outside = {host + i for _, host, count in rows for i in range(count)} - {own}
    assert outside <= set(range(sub[0], sub[0] + sub[1]))


def test_around_keeps_the_order() -> None:
    assert around(1000, (100000, 65536)) == ((0, 100000, 1000), (1000, 1000, 1), (1001, 101000, 64536))
    assert around(70000, (100000, 65536)) == ((0, 100000, 65536), (70000, 70000, 1))


def test_an_ordinary_user_keeps_name_number_and_home() -> None:
    who = for_user("ada", 1001, 100, "/home/ada", (100000, 65536), (200000, 65536))
    assert (who.learner.name, who.learner.uid, who.learner.gid, who.learner.home) == (
        "ada",
        1001,
        100,
        "/home/ada",
    )
    assert (who.outside_uid(1001), who.outside_gid(100)) == (1001, 100)
    assert (who.outside_uid(0), who.outside_gid(0)) == (100000, 200000)
    assert who.learner not in who.housed


def test_started_by_root_the_learner_is_a_sub_id() -> None:
    who = for_root(cgroup="none")
    assert who.outside_uid(who.learner.uid) > 1 << 30
    assert who.outside_uid(0) != 0
    assert who.learner in who.housed


def test_with_cgroup_v1_only_the_clusters_root_has_the_hosts_root_id() -> None:
    who = for_root(cgroup="v1")
    assert who.outside_uid(0) == 0
    assert not overlapping(who.uid_map)
    for one in (*who.people, *who.daemons):
        assert who.outside_uid(one.uid) > 1 << 30


@pytest.mark.parametrize("uid", [1000, 2005, 3005, 12345, 25000, 59999, 70000, 1_500_000_000])
@pytest.mark.parametrize("count", [65536, 131072])
def test_no_two_accounts_share_an_id(uid: int, count: int) -> None:
    who = for_user("ada", uid, uid, "/home/ada", (2_000_000_000, count), (2_000_000_000, count))
    check_accounts(who)


@pytest.mark.parametrize("name", ["instructor", "student7"])
def test_a_user_who_is_called_like_a_course_account(name: str) -> None:
    who = for_user(name, 1001, 1001, f"/home/{name}", (100000, 65536), (100000, 65536))
    check_accounts(who)


def check_accounts(who: Identity) -> None:
    everyone = (*who.people, *who.daemons)
    assert len({one.name for one in everyone}) == len(everyone)
    assert len({one.uid for one in everyone}) == len(everyone)
    for one in everyone:
        who.outside_uid(one.uid)
        who.outside_gid(one.gid)
    first, count = who.subids
    inside = range(first, first + count)
    assert not any(one.uid in inside or one.gid in inside for one in everyone), (
        "an image build would map an id twice"
    )
    assert count >= 20000
    for number in (first, first + count - 1):
        who.outside_uid(number)
        who.outside_gid(number)


def test_an_id_that_is_not_mapped() -> None:
    with pytest.raises(ValueError, match="not mapped"):
        for_root(cgroup="none").outside_uid(10_000_000)


@pytest.mark.parametrize(
    ("name", "uid", "gid"), [("slurm", 1001, 1001), ("ada", 961, 1001), ("ada", 1001, 962)]
)
def test_a_user_who_would_be_one_of_the_daemons_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, uid: int, gid: int
) -> None:
    row = pwd.struct_passwd((name, "x", uid, gid, "", f"/home/{name}", "/bin/sh"))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: gid)
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: row)
    with pytest.raises(HostUnsuitable, match="one of the cluster's daemons"):
        of_this_process(cgroup="none")

"""Whether a machine can confine untrusted code, and what is said where something is short."""

from __future__ import annotations

import msgspec
import pytest

from hpclab.errors import HostUnsuitable
from hpclab.grading.execute import host_support
from hpclab.grading.execute.host_support import Facts

GOOD = Facts(root=False, kernel="6.1.0-18-amd64", subids=65536, newuidmap=True)


def with_(**more: object) -> Facts:
    return msgspec.structs.replace(GOOD, **more)


def test_an_account_with_sub_ids_grades_everything() -> None:
    for cluster in (False, True):
        found = host_support.judge(GOOD, cluster=cluster)
        assert (found.problem, "65536 sub-ids" in found.description) == ("", True)
        assert host_support.judge(with_(root=True, subids=0, newuidmap=False), cluster=cluster).problem == ""


@pytest.mark.parametrize(
    ("short", "lacks"), [({"subids": 0}, "4096 sub-ids (there are 0)"), ({"newuidmap": False}, "newuidmap")]
)
def test_without_them_plain_labs_are_graded_and_labs_with_a_cluster_refused(
    short: dict[str, object], lacks: str
) -> None:
    plain = host_support.judge(with_(**short), cluster=False)
    assert plain.problem == ""
    assert "namespaces alone" in plain.description
    assert lacks in plain.description
    refused = host_support.judge(with_(**short), cluster=True)
    assert lacks in refused.problem
    assert "usermod --add-subuids" in refused.remedy


@pytest.mark.parametrize(
    ("short", "says"),
    [
        ({"shut": (host_support.NONE_AT_ALL,)}, "user namespaces are switched off"),
        ({"kernel": "5.10.0-28-amd64"}, "Linux 5.10.0-28-amd64 is too old"),
        ({"kernel": "4.18.0-553.el8"}, "too old"),
    ],
)
def test_where_nothing_keeps_them_in_nothing_is_graded(short: dict[str, object], says: str) -> None:
    for cluster in (False, True):
        found = host_support.judge(with_(**short), cluster=cluster)
        assert says in found.problem
        assert found.remedy


def test_a_refusal_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_support, "look", lambda: with_(kernel="3.10.0"))
    with pytest.raises(HostUnsuitable, match="too old") as caught:
        host_support.require(cluster=False)
    assert caught.value.remedy
    monkeypatch.setattr(host_support, "look", lambda: GOOD)
    assert host_support.require(cluster=True)


def test_this_machine_is_looked_at() -> None:
    assert host_support.look().kernel

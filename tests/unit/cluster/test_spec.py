"""What a cluster may be, and what each node of it has."""

from __future__ import annotations

import msgspec
import pytest

from hpclab.cluster.spec import Host, Spec, address, check, check_name, devices_of
from hpclab.errors import UsageError


def changed(spec: Spec, **values: object) -> Spec:
    return msgspec.structs.replace(spec, **values)


@pytest.mark.parametrize("name", ["a", "0", "default", "a-b-", "x" * 31])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a b", "a/b", "..", "ä", "a\n", "x" * 32])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_name(name)
    assert "1 to 31" in refused.value.remedy


@pytest.mark.parametrize(
    ("field", "good", "bad", "option"),
    [
        ("nodes", (1, 200), (0, -1, 201), "--nodes"),
        ("cpus_per_node", (1, 256), (0, 257), "--cpus-per-node"),
        ("gpus_per_node", (0, 16), (-1, 17), "--gpus-per-node"),
        ("memory_mib", (256, 4_000_000), (255, 4_000_001), "--memory-per-node"),
    ],
)
def test_values_out_of_range_name_the_range(
    spec: Spec, field: str, good: tuple[int, ...], bad: tuple[int, ...], option: str
) -> None:
    for value in good:
        check(changed(spec, **{field: value}))
    for value in bad:
        with pytest.raises(UsageError) as refused:
            check(changed(spec, **{field: value}))
        assert option in refused.value.problem
        assert refused.value.remedy == f"Valid: {good[0]} to {good[1]}."


def test_a_site_without_a_cluster_part_cannot_be_imitated(spec: Spec) -> None:
    with pytest.raises(UsageError, match="cannot be imitated"):
        check(changed(spec, site=msgspec.structs.replace(spec.site, cluster=None)))


def test_a_spec_survives_being_written(spec: Spec) -> None:
    assert msgspec.json.decode(msgspec.json.encode(spec), type=Spec) == spec


def test_names_and_addresses_of_nodes(spec: Spec) -> None:
    assert spec.node_names == ("nid001", "nid002", "nid003", "nid004")
    assert spec.node_range == "nid[001-004]"
    assert changed(spec, nodes=1).node_range == "nid001"
    most = changed(spec, nodes=200)
    every = [address(name) for name in ("ctl", "login", *most.node_names)]
    assert len(set(every)) == 202
    assert address("nid200") == "10.77.1.200"


def test_emulated_gpus(spec: Spec) -> None:
    assert spec.emulated_gpus
    for index in range(4):
        assert devices_of(spec, index) == tuple(f"/run/hpclab/gpu/gpu{number}" for number in range(4))
    assert devices_of(changed(spec, gpus_per_node=0), 0) == ()
    assert not changed(spec, gpus_per_node=0).emulated_gpus


@pytest.mark.parametrize(
    ("nodes", "wanted", "there", "shares"),
    [
        (2, 4, 8, [4, 4]),
        (2, 4, 4, [2, 2]),
        (2, 1, 8, [1, 1]),
        (4, 4, 2, [1, 1, 0, 0]),
        (3, 4, 8, [2, 2, 2]),
        (1, 4, 1, [1]),
    ],
)
def test_real_gpus_are_shared_out(spec: Spec, nodes: int, wanted: int, there: int, shares: list[int]) -> None:
    devices = tuple(f"/dev/nvidia{number}" for number in range(there))
    some = changed(spec, nodes=nodes, gpus_per_node=wanted, host=Host(memory_mib=8000, gpu_devices=devices))
    assert not some.emulated_gpus
    given = [devices_of(some, index) for index in range(nodes)]
    assert [len(one) for one in given] == shares
    handed_out = [device for one in given for device in one]
    assert len(set(handed_out)) == len(handed_out), "two nodes have the same GPU"


def test_who_enforces_memory_limits(spec: Spec) -> None:
    assert "polling" in spec.enforces_memory
    assert "cgroup v1" in changed(spec, host=Host(memory_mib=1, cgroup="v1")).enforces_memory

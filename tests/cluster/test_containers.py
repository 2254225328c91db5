"""Learners build images on the login node and run them on the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpclab import layout

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster


def test_an_image_is_built_on_the_login_node_and_runs_on_two_nodes(cluster: Cluster) -> None:
    recipe = layout.clone_folder() / "containers" / "hello.def"
    cluster.run(f"apptainer build --force hello.sif '{recipe}'", timeout=120)
    out = cluster.out("srun -C gpu -N2 --ntasks-per-node=1 --label apptainer run hello.sif 2>&1")
    assert sorted(out.splitlines()) == ["0: hello from inside", "1: hello from inside"]

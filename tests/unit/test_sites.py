"""hpclab.sites: profiles are checked strictly, and become Slurm's variables."""

from __future__ import annotations

import ast
import datetime
import subprocess
from pathlib import Path

import msgspec
import pytest

from hpclab import sites
from hpclab.errors import SiteError, UsageError

PROFILE = """
name = "demo"
title = "A demonstration"

[submit]
account_env = "DEMO_ACCOUNT"
account = "m0001"
qos = "regular"
constraint = "cpu"
gpu_constraint = "gpu&hbm80g"

[sources.handbook]
url = "https://example.org/handbook"
read = 2026-11-01

[[facts]]
topic = "time"
text = "Jobs run for at most two days."
source = "handbook"

[[node_type]]
name = "cpu"
features = ["cpu", "milan"]
cpus = 256
memory_mb = 512000
source = "handbook"

[cluster]
partition = "regular"
default_qos = "regular"
accounts = ["m0001"]
node_types = ["cpu"]

[[cluster.qos]]
name = "regular"
preempts = ["low"]
source = "handbook"

[[cluster.qos]]
name = "low"

[[cluster.refuses]]
when = "no-constraint"
says = "Name a node type."
source = "handbook"
"""


def load(folder: Path, text: str = PROFILE, name: str = "demo") -> sites.Site:
    (folder / f"{name}.toml").write_text(text)
    return sites.load(name, folder)


def test_a_profile_is_read(tmp_path: Path) -> None:
    site = load(tmp_path)
    assert site.title == "A demonstration"
    assert site.sources["handbook"].read == datetime.date(2026, 11, 1)
    assert site.cluster is not None
    assert [qos.name for qos in site.cluster.qos] == ["regular", "low"]
    assert site.node_type[0].gpus == 0


def test_only_the_name_and_the_title_and_submit_are_needed(tmp_path: Path) -> None:
    site = load(tmp_path, 'name = "demo"\ntitle = "t"\n[submit]\n')
    assert site.cluster is None
    assert sites.environment(site, {}) == {}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("memory_mb", "memory_gb", "memory_gb"),
        ("cpus = 256", 'cpus = "many"', "int"),
        ("cpus = 256", "cpus = 0", "cpus"),
        ("read = 2026-11-01", 'read = "last week"', "date"),
        ('title = "A demonstration"', "", "title"),
        ("[submit]", "[submit", "demo.toml"),
        ('name = "demo"', 'name = "other"', "its name is 'other'"),
        ('name = "regular"', 'name = "two words"', "name"),
        ('partition = "regular"', 'partition = "p\\nNodeName=evil"', "partition"),
        ('accounts = ["m0001"]', "accounts = []", "accounts"),
        ('default_qos = "regular"', 'default_qos = "premium"', "default QOS 'premium'"),
        ('preempts = ["low"]', 'preempts = ["lowest"]', "QOS 'lowest' preempted by 'regular'"),
        ('node_types = ["cpu"]', 'node_types = ["gpu"]', "node type 'gpu'"),
        ('when = "no-constraint"', 'when = "full-moon"', "rule 'full-moon'"),
        (
            "[sources.handbook]",
            "[sources.manual]",
            "fact about time, node type cpu, QOS regular, refusal no-con",
        ),
        ('name = "low"', 'name = "regular"', "defined twice: regular"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_file_and_a_remedy(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in PROFILE
    with pytest.raises(SiteError) as caught:
        load(tmp_path, PROFILE.replace(old, new, 1))
    assert str(tmp_path / "demo.toml") in caught.value.problem
    assert says in caught.value.problem
    assert caught.value.remedy


def test_profile_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(SiteError, match=r"demo\.toml"):
        sites.load("demo", tmp_path)


def test_unknown_name_lists_the_valid_ones(tmp_path: Path) -> None:
    for name in ("perlmutter", "generic"):
        (tmp_path / f"{name}.toml").touch()
    with pytest.raises(UsageError) as caught:
        sites.load("perlmuter", tmp_path)
    assert "Did you mean 'perlmutter'?" in caught.value.problem
    assert "generic, perlmutter" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "../demo", "/etc/passwd", "sub/demo"])
def test_a_name_is_not_a_path(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sites"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path, folder / "sub"):
        (place / "demo.toml").write_text(PROFILE)
    with pytest.raises(UsageError, match="no site profile"):
        sites.load(name, folder)


def test_environment_has_slurms_variables(tmp_path: Path) -> None:
    given = sites.environment(load(tmp_path), {})
    assert given == {
        f"{program}_{option}": value
        for program in ("SBATCH", "SALLOC", "SLURM")
        for option, value in (("ACCOUNT", "m0001"), ("QOS", "regular"), ("CONSTRAINT", "cpu"))
    }


def test_the_learners_own_account_comes_first(tmp_path: Path) -> None:
    site = load(tmp_path)
    assert sites.environment(site, {"DEMO_ACCOUNT": "m9999"})["SBATCH_ACCOUNT"] == "m9999"
    assert sites.environment(site, {"DEMO_ACCOUNT": ""})["SBATCH_ACCOUNT"] == "m0001"


def test_a_gpu_job_gets_the_gpu_constraint(tmp_path: Path) -> None:
    site = load(tmp_path)
    assert sites.environment(site, {}, gpu=True)["SBATCH_CONSTRAINT"] == "gpu&hbm80g"
    plain = load(tmp_path, PROFILE.replace('gpu_constraint = "gpu&hbm80g"', ""))
    assert sites.environment(plain, {}, gpu=True)["SBATCH_CONSTRAINT"] == "cpu"


def test_exports_survive_a_shell() -> None:
    values = {"SBATCH_CONSTRAINT": "gpu&hbm80g", "SBATCH_COMMENT": "it's $HOME; `id`\nand a line"}
    script = sites.format_exports(values) + 'printf "%s|" "$SBATCH_CONSTRAINT" "$SBATCH_COMMENT"'
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={})
    assert told.stdout == "".join(f"{value}|" for value in values.values())
    assert sites.format_exports({}) == ""


def test_every_profile_of_the_course_is_valid_and_dated(root: Path) -> None:
    folder = root / "sites"
    assert {"generic", "local", "perlmutter"} <= set(sites.list_names(folder))
    for name in sites.list_names(folder):
        site = sites.load(name, folder)
        assert msgspec.toml.decode((folder / f"{name}.toml").read_bytes())["name"] == name
        for key, source in site.sources.items():
            assert source.url.startswith("https://"), (name, key)
            assert source.read <= datetime.date.today(), (name, key)
        assert all(fact.source for fact in site.facts), f"{name}: a fact names no source"


def test_every_field_of_a_profile_is_read_by_some_code(root: Path) -> None:
    read = {
        node.attr
        for path in (root / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    kinds = [
        kind for kind in vars(sites).values() if isinstance(kind, type) and issubclass(kind, sites.SiteStruct)
    ]
    fields = {field for kind in kinds for field in kind.__struct_fields__}
    assert {"features", "grace_seconds", "notebook_qos"} <= fields
    assert fields <= read

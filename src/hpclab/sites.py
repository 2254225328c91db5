"""Site profiles: the differences between clusters, as data with sources.

A profile has two uses. Its ``[submit]`` part becomes Slurm's input environment variables (``SBATCH_*``), which override
the directives of a script, so that a script needs no placeholders. Its ``[cluster]`` part configures the embedded
cluster: node types, QOS, limits, and the jobs that the submit filter refuses.
"""

from __future__ import annotations

import datetime
import difflib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from hpclab.errors import SiteError, UsageError

# A value of a field in Slurm's configuration files.
SlurmWord = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]+$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(gt=0)]


class SiteStruct(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Base class: an unknown key in a profile is an error."""


class Source(SiteStruct, frozen=True):
    """The source of a fact: where and when it was read. ``verified`` is false if it could not be checked."""

    url: str
    read: datetime.date
    verified: bool = True
    note: str = ""


class Fact(SiteStruct, frozen=True):
    """A sentence about a site, for learners and the book."""

    topic: str
    text: str
    source: str


class Submit(SiteStruct, frozen=True):
    """The options that a job needs at this site. Empty: Slurm's default is used."""

    account_env: str = ""  # the environment variable with the learner's account
    account: str = ""
    qos: str = ""
    partition: str = ""
    constraint: str = ""  # "": none is needed
    gpu_constraint: str = ""
    notebook_qos: str = ""  # for a job that waits for its own jobs, such as a headless notebook


class NodeType(SiteStruct, frozen=True):
    """A type of node; ``features`` are the values for ``--constraint``."""

    name: SlurmWord
    features: list[SlurmWord]
    cpus: Positive  # schedulable CPUs, as Slurm counts them
    memory_mb: Positive
    gpus: Count = 0
    source: str = ""


class Qos(SiteStruct, frozen=True):
    """A QOS and its limits; 0 or empty: no limit."""

    name: SlurmWord
    priority: Count = 0
    max_nodes: Count = 0
    max_gpus: Count = 0  # per job
    max_wall_minutes: Count = 0
    max_submit_jobs: Count = 0  # per user
    max_running_jobs: Count = 0  # per user
    deny_on_limit: bool = False  # a job above a limit is refused at submission, instead of pending
    preempts: list[SlurmWord] = []
    preempt_requeue: bool = False
    grace_seconds: Count = 0
    embedded_grace_seconds: Count = 0  # shorter, for the embedded cluster
    source: str = ""


class SubmitRefusal(SiteStruct, frozen=True):
    """A rule of the submit filter; ``when`` is one of the conditions in RULES."""

    when: str
    says: str  # the site's own message
    source: str = ""


class EmulatedCluster(SiteStruct, frozen=True):
    """The configuration of the embedded cluster for this site."""

    partition: SlurmWord
    default_qos: SlurmWord
    accounts: Annotated[list[SlurmWord], msgspec.Meta(min_length=1)]
    node_types: Annotated[list[SlurmWord], msgspec.Meta(min_length=1)]
    qos: list[Qos]
    refuses: list[SubmitRefusal] = []
    max_time_minutes: Count = 0
    default_time_minutes: Count = 0
    requeue_by_default: bool = True  # Slurm's JobRequeue; false: only jobs that ask with --requeue


class Site(SiteStruct, frozen=True):
    """A site profile, as read from ``sites/NAME.toml``."""

    name: SlurmWord
    title: str
    submit: Submit
    sources: dict[str, Source] = {}
    facts: list[Fact] = []
    node_type: list[NodeType] = []
    cluster: EmulatedCluster | None = None


# The conditions of the submit filter, with their meaning.
RULES: Mapping[str, str] = {
    "no-constraint": "the job names no node type with --constraint",
    "unknown-constraint": "the job names a constraint that no node has",
    "gpu-without-gpu-node": "the job asks for GPUs on a node type that has none",
    "no-time-limit": "the job names no time limit",
    "no-account": "the job names no account",
}


def list_names(folder: Path) -> list[str]:
    """List the names of the profiles in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(name: str, folder: Path) -> Site:
    """Load and check ``folder/NAME.toml``. Raises UsageError, SiteError."""
    path = folder / f"{name}.toml"
    if "/" in name or not path.is_file():
        close = difflib.get_close_matches(name, list_names(folder), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(
            f"there is no site profile {name!r}.{hint}",
            f"Valid names: {', '.join(list_names(folder)) or '(none)'}. Profiles are in {folder}.",
        )
    try:
        site = msgspec.toml.decode(path.read_bytes(), type=Site)
    except OSError as problem:
        raise SiteError(f"{path} cannot be read: {problem.strerror}", "Check its permissions.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise SiteError(f"{path}: {problem}", "Compare it with sites/generic.toml.") from None
    _check_consistency(site, path)
    return site


def _check_consistency(site: Site, path: Path) -> None:
    """Raise SiteError where the parts of a profile contradict each other."""
    if site.name != path.stem:
        raise SiteError(
            f"{path}: its name is {site.name!r}", "Use the same name for the file and the profile."
        )
    duplicates = _find_repeated([node.name for node in site.node_type])
    duplicates += _find_repeated([qos.name for qos in site.cluster.qos] if site.cluster else [])
    if duplicates:
        raise SiteError(f"{path}: defined twice: {', '.join(duplicates)}", "Keep one of each.")
    cited = [(f"fact about {fact.topic}", fact.source) for fact in site.facts]
    cited += [(f"node type {node.name}", node.source) for node in site.node_type]
    known_types = {node.name for node in site.node_type}
    if site.cluster:
        cited += [(f"QOS {qos.name}", qos.source) for qos in site.cluster.qos]
        cited += [(f"refusal {rule.when}", rule.source) for rule in site.cluster.refuses]
        qos_names = {qos.name for qos in site.cluster.qos}
        wrong = [f"node type {name!r}" for name in site.cluster.node_types if name not in known_types]
        wrong += [
            f"QOS {low!r} preempted by {qos.name!r}"
            for qos in site.cluster.qos
            for low in qos.preempts
            if low not in qos_names
        ]
        if site.cluster.default_qos not in qos_names:
            wrong.append(f"default QOS {site.cluster.default_qos!r}")
        wrong += [f"rule {rule.when!r}" for rule in site.cluster.refuses if rule.when not in RULES]
        if wrong:
            raise SiteError(f"{path}: not defined: {', '.join(wrong)}", "Define or remove them.")
    missing = [what for what, source in cited if source and source not in site.sources]
    if missing:
        raise SiteError(f"{path}: no source in [sources] for: {', '.join(missing)}", "Add it to [sources].")


def _find_repeated(values: list[str]) -> list[str]:
    """Return the values that are repeated in ``values``, sorted."""
    return sorted({value for value in values if values.count(value) > 1})


def environment(site: Site, environ: Mapping[str, str], *, gpu: bool = False) -> dict[str, str]:
    """Return Slurm's input variables for ``sbatch``, ``salloc`` and ``srun`` at this site.

    ``environ`` has the learner's account. Slurm reads options in the order script < environment < command line, so
    the variables override a script.
    """
    constraint = site.submit.gpu_constraint if gpu and site.submit.gpu_constraint else site.submit.constraint
    account = environ.get(site.submit.account_env, "") if site.submit.account_env else ""
    values = {
        "ACCOUNT": account or site.submit.account,
        "QOS": site.submit.qos,
        "PARTITION": site.submit.partition,
        "CONSTRAINT": constraint,
    }
    return {
        f"{program}_{option}": value
        for program in ("SBATCH", "SALLOC", "SLURM")
        for option, value in values.items()
        if value
    }


def format_exports(variables: Mapping[str, str]) -> str:
    """Return ``variables`` as lines for a shell's ``eval``."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in variables.items())

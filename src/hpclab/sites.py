"""A site profile: what differs between clusters, as data with sources.

A profile has two uses. Its ``[submit]`` part becomes Slurm's own input
environment variables (``SBATCH_*``), which override the lines of a script, so a
script needs no placeholders. Its ``[cluster]`` part is what the embedded
cluster imitates: node types, QOS, limits, and what the submit filter refuses.
"""

from __future__ import annotations

import datetime
import difflib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from hpclab.errors import SiteError, UsageError

# These words are written into Slurm's configuration files, one to a field.
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]+$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(gt=0)]


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Base: an unknown key in a profile is an error that names it."""


class Source(Strict, frozen=True):
    """Where a fact was read, and when. ``verified`` is false for a fact nobody could check."""

    url: str
    read: datetime.date
    verified: bool = True
    note: str = ""


class Fact(Strict, frozen=True):
    """One sentence about a site, for learners and for the book."""

    topic: str
    text: str
    source: str


class Submit(Strict, frozen=True):
    """What a job at this site must name. Empty: Slurm's default serves."""

    account_env: str = ""  # the environment variable that holds the learner's account
    account: str = ""
    qos: str = ""
    partition: str = ""
    constraint: str = ""  # "" where jobs need none
    gpu_constraint: str = ""
    notebook_qos: str = ""  # for a job that waits for jobs of its own, as a headless notebook does


class NodeType(Strict, frozen=True):
    """A kind of node; ``features`` are what ``--constraint`` may ask for."""

    name: Word
    features: list[Word]
    cpus: Positive  # schedulable CPUs, as Slurm counts them
    memory_mb: Positive
    gpus: Count = 0
    source: str = ""


class Qos(Strict, frozen=True):
    """A QOS and its limits; 0 or empty means no limit. Times in minutes, grace in seconds."""

    name: Word
    priority: Count = 0
    max_nodes: Count = 0
    max_gpus: Count = 0  # per job
    max_wall_minutes: Count = 0
    max_submit_jobs: Count = 0  # per user
    max_running_jobs: Count = 0  # per user
    deny_on_limit: bool = False  # a job over a limit is refused at submission, instead of pending for ever
    preempts: list[Word] = []
    preempt_requeue: bool = False
    grace_seconds: Count = 0
    embedded_grace_seconds: Count = 0  # on the embedded cluster, where nobody waits minutes
    source: str = ""


class Refusal(Strict, frozen=True):
    """One rule of the submit filter. ``when`` is one of the conditions in RULES."""

    when: str
    says: str  # the site's own words, as a person sees them
    source: str = ""


class Imitation(Strict, frozen=True):
    """What the embedded cluster imitates of this site."""

    partition: Word
    default_qos: Word
    accounts: Annotated[list[Word], msgspec.Meta(min_length=1)]
    node_types: Annotated[list[Word], msgspec.Meta(min_length=1)]
    qos: list[Qos]
    refuses: list[Refusal] = []
    max_time_minutes: Count = 0
    default_time_minutes: Count = 0
    requeue_by_default: bool = True  # Slurm's JobRequeue; false: only jobs that ask with --requeue


class Site(Strict, frozen=True):
    """A whole profile, as read from ``sites/NAME.toml``."""

    name: Word
    title: str
    submit: Submit
    sources: dict[str, Source] = {}
    facts: list[Fact] = []
    node_type: list[NodeType] = []
    cluster: Imitation | None = None


# The conditions the submit filter can test, with their meaning.
RULES: Mapping[str, str] = {
    "no-constraint": "the job names no node type with --constraint",
    "unknown-constraint": "the job names a constraint that no node has",
    "gpu-without-gpu-node": "the job asks for GPUs on a node type that has none",
    "no-time-limit": "the job names no time limit",
    "no-account": "the job names no account",
}


def names(folder: Path) -> list[str]:
    """The names of the profiles in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(name: str, folder: Path) -> Site:
    """Read and check ``folder/NAME.toml``. Raises UsageError, SiteError."""
    path = folder / f"{name}.toml"
    if "/" in name or not path.is_file():
        close = difflib.get_close_matches(name, names(folder), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(
            f"there is no site profile {name!r}.{hint}",
            f"Valid names: {', '.join(names(folder)) or '(none)'}. Profiles live in {folder}.",
        )
    try:
        site = msgspec.toml.decode(path.read_bytes(), type=Site)
    except OSError as problem:
        raise SiteError(f"{path} cannot be read: {problem.strerror}", "Check its permissions.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise SiteError(f"{path}: {problem}", "Compare it with sites/generic.toml.") from None
    _check(site, path)
    return site


def _check(site: Site, path: Path) -> None:
    """Raise SiteError where the parts of a profile contradict each other."""
    if site.name != path.stem:
        raise SiteError(f"{path}: it calls itself {site.name!r}", "Give the file and the profile one name.")
    twice = _repeated([node.name for node in site.node_type])
    twice += _repeated([qos.name for qos in site.cluster.qos] if site.cluster else [])
    if twice:
        raise SiteError(f"{path}: defined twice: {', '.join(twice)}", "Keep one of each.")
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
            raise SiteError(f"{path}: not defined: {', '.join(wrong)}", "Define them or take them out.")
    missing = [what for what, source in cited if source and source not in site.sources]
    if missing:
        raise SiteError(f"{path}: no such source for: {', '.join(missing)}", "Add it under [sources].")


def _repeated(values: list[str]) -> list[str]:
    """Each value that stands in ``values`` more than once, sorted."""
    return sorted({value for value in values if values.count(value) > 1})


def environment(site: Site, environ: Mapping[str, str], *, gpu: bool = False) -> dict[str, str]:
    """Slurm's input variables for ``sbatch``, ``salloc`` and ``srun`` at this site.

    ``environ`` is where the learner's account is looked up. Slurm reads options in
    the order script < environment < command line, so these override a script.
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


def exports(variables: Mapping[str, str]) -> str:
    """``variables`` as lines a shell can ``eval``."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in variables.items())


def default_name(environ: Mapping[str, str] = os.environ) -> str:
    """The site this process runs at: ``HPCLAB_SITE``, or NERSC's own variable, or ``local``."""
    if chosen := environ.get("HPCLAB_SITE"):
        return chosen
    return "perlmutter" if environ.get("NERSC_HOST") == "perlmutter" else "local"

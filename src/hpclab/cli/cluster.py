"""hpclab up, down, status, shell, exec, logs."""

from __future__ import annotations

import collections
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hpclab import layout
from hpclab.app import clusters
from hpclab.app.clusters import DEFAULT_NAME, DEFAULT_SITE, site_names, writable_by_learner
from hpclab.cli.common import name_option, progress_line
from hpclab.cluster import lifecycle
from hpclab.cluster.spec import LOGIN, Spec
from hpclab.errors import ClusterError, HpclabError, UsageError


@click.command()
@name_option
@click.option("--nodes", default=4, show_default=True, help="Compute nodes.")
@click.option(
    "--cpus-per-node", "cpus", default=4, show_default=True, help="CPUs Slurm may hand out on each."
)
@click.option(
    "--gpus-per-node",
    "gpus",
    default=4,
    show_default=True,
    help="GPUs on each: real ones if the host has them, else emulated.",
)
@click.option(
    "--memory-per-node", "memory_mib", default=4000, show_default=True, help="Memory of each, in MiB."
)
@click.option(
    "--site",
    default=DEFAULT_SITE,
    show_default=True,
    type=click.Choice(site_names()),
    help="Whose rules to imitate.",
)
@click.option(
    "--outbound/--no-outbound",
    default=True,
    show_default=True,
    help="Let the login node reach the outside network.",
)
@click.option("--retain", is_flag=True, help="On failure leave everything running, to look at it.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds until the nodes must be ready.")
def up(
    name: str,
    nodes: int,
    cpus: int,
    gpus: int,
    memory_mib: int,
    site: str,
    outbound: bool,
    retain: bool,
    timeout: float,
) -> None:
    """Start a cluster on this machine (two seconds, once the packages are there)."""
    began = time.monotonic()
    spec = clusters.compose(
        name=name, site=site, nodes=nodes, cpus=cpus, gpus=gpus, memory_mib=memory_mib, outbound=outbound
    )
    with progress_line("starting") as progress:
        started = clusters.start(spec, progress, retain=retain, deadline_s=timeout)
    if started:
        click.echo(f"Cluster {name!r} is up: {nodes} nodes, {time.monotonic() - began:.1f} s.")
        if spec.emulated_gpus:
            click.echo("Its GPUs are emulated: Slurm schedules them, but there is no CUDA behind them.")
    else:
        running = lifecycle.spec_of(name)
        click.echo(f"Cluster {name!r} is running already, with {running.nodes} nodes.")
        if running.nodes != nodes or running.site.name != site:
            click.echo(f"To start it with these options, stop it first: hpclab down --name {name}")
    suffix = "" if name == DEFAULT_NAME else f" --name {name}"
    click.echo(f"Log in: hpclab shell{suffix}    Look: hpclab status{suffix}    Stop: hpclab down{suffix}")


@click.command()
@name_option
@click.option("--force", is_flag=True, help="Cancel the jobs that are still in the queue.")
@click.option(
    "--purge",
    is_flag=True,
    help="Delete everything: jobs, accounts, homes of course accounts, scratch, logs.",
)
@click.option("--all", "every", is_flag=True, help="Every cluster of yours.")
def down(name: str, force: bool, purge: bool, every: bool) -> None:
    """Stop a cluster. Jobs' records, homes and logs stay for the next `up`."""
    for cluster in lifecycle.names() if every else [name]:
        cancel = force or _confirm_cancelling(cluster)
        with progress_line("stopping") as progress:
            was_running = lifecycle.down(cluster, progress, force=cancel, purge=purge)
        click.echo(f"Cluster {cluster!r} {'is stopped' if was_running else 'was not running'}.")


def _confirm_cancelling(name: str) -> bool:
    """Ask on a terminal whether jobs in the queue may be cancelled; false where there are none."""
    if not sys.stdin.isatty() or not lifecycle.running(name):
        return False
    jobs = lifecycle.jobs_in_queue(name)
    return bool(jobs) and click.confirm(
        f"Jobs in the queue of cluster {name!r}: {jobs}. Cancel them and stop?"
    )


@click.command()
@name_option
def status(name: str) -> None:
    """Show what is running, and what is real and what is emulated."""
    if lifecycle.running(name) is None:
        others = [other for other in lifecycle.names() if other != name and lifecycle.running(other)]
        raise ClusterError(
            f"cluster {name!r} is not running" + (f"; running: {', '.join(others)}" if others else ""),
            f"Start it: hpclab up --name {name}",
        )
    status = lifecycle.status(name)
    spec = status.spec
    table = Table.grid(padding=(0, 2))
    rows = {
        "cluster": f"{name}, process {status.pid}, imitates {spec.site.title}",
        "nodes": ", ".join(
            f"{count} {state}" for state, count in sorted(collections.Counter(status.nodes.values()).items())
        ),
        "jobs": ", ".join(f"{count} {state.lower()}" for state, count in sorted(status.jobs.items()))
        or "none in the queue",
        "services": ", ".join(
            f"{state} {count}"
            for state, count in sorted(collections.Counter(status.services.values()).items())
        ),
        "memory limits": spec.enforces_memory,
        "CPUs": f"{spec.cpus_per_node} claimed by each node; the machine has {os.cpu_count()}",
        "GPUs": _describe_gpus(spec),
        "node types": "every node answers to every --constraint of the site (the site has separate nodes)",
        "outside network": "login node only" if spec.outbound and spec.host.outbound else "none",
        "you are": f"{spec.identity.learner.name} (uid {spec.identity.learner.uid})",
        "folder": str(layout.cluster_folder(name)),
    }
    for key, value in rows.items():
        table.add_row(key, value)
    Console(highlight=False, soft_wrap=True).print(table)
    for service, state in status.services.items():
        if state in ("down", "starting"):
            click.echo(f"{service} is {state}: hpclab logs {service}; a fault? hpclab fault list")
    for job in status.lost_jobs:
        click.echo(
            f"Lost: job {job.job_id}, accepted at {job.accepted}; the controller was killed before it saved it. Submit it again."
        )


def _describe_gpus(spec: Spec) -> str:
    if not spec.gpus_per_node:
        return "none"
    if spec.emulated_gpus:
        return f"{spec.gpus_per_node} a node, EMULATED: scheduling and variables are real, CUDA is not there"
    return f"{len(spec.host.gpu_devices)} real ones, shared out over the nodes"


def _exec_on_node(name: str, node: str, user: str, folder: str, argv: list[str]) -> None:
    """Replace this process by ``argv`` on the cluster, so that signals and the terminal reach it."""
    environment = [f"{key}={os.environ[key]}" for key in ("TERM", "LANG", "COLORTERM") if key in os.environ]
    command = lifecycle.command(name, node, user, folder, argv, environment)
    if sys.stdin.isatty():
        # A terminal of its own: from inside, another account could type into this one (ioctl TIOCSTI).
        command = ["script", "--quiet", "--return", "--command", f"exec {shlex.join(command)}", "/dev/null"]
    sys.stdout.flush()
    os.execvp(command[0], command)


def complete_node(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    spec = _find_spec(ctx)
    return [node for node in (LOGIN, *spec.node_names) if node.startswith(incomplete)] if spec else []


def complete_user(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    spec = _find_spec(ctx)
    return (
        [account.name for account in spec.identity.people if account.name.startswith(incomplete)]
        if spec
        else []
    )


def _find_spec(ctx: click.Context) -> Spec | None:
    """The cluster that an incomplete command line names; None where there is none, so that nothing is completed."""
    try:
        return lifecycle.spec_of(ctx.params.get("name") or DEFAULT_NAME)
    except HpclabError:
        return None


@click.command()
@name_option
@click.option("--node", default=LOGIN, show_default=True, shell_complete=complete_node, help="Which node.")
@click.option(
    "--user",
    default="",
    shell_complete=complete_user,
    help="Which account: instructor, student1 … student40; by default your own.",
)
def shell(name: str, node: str, user: str) -> None:
    """Log in: a shell where sbatch, srun, sacct, module, apptainer and python work."""
    lifecycle.supervisor_of(name)
    for job in lifecycle.status(name).lost_jobs:
        click.echo(f"Lost: job {job.job_id}, accepted at {job.accepted}. Submit it again.", err=True)
    spec, folder = lifecycle.spec_of(name), Path.cwd()
    if spec.site.cluster and any(rule.when == "no-constraint" for rule in spec.site.cluster.refuses):
        click.echo(
            'Jobs name a node type here, as on the real machine: add -C gpu, or eval "$(hpclab site env local)".'
        )
    if not writable_by_learner(spec, folder):
        click.echo(
            f"{folder} is read-only for {spec.identity.learner.name}: you start at home, with room in $SCRATCH."
        )
        folder = Path("/nonexistent")  # login-shell then goes home
    _exec_on_node(name, node, user, str(folder), ["bash", "-l"])


@click.command("exec", context_settings={"ignore_unknown_options": True})
@name_option
@click.option("--node", default=LOGIN, show_default=True, shell_complete=complete_node, help="Which node.")
@click.option("--user", default="", shell_complete=complete_user, help="Which account; by default your own.")
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENTS]...", type=click.UNPROCESSED)
def execute(name: str, node: str, user: str, argv: tuple[str, ...]) -> None:
    """Run one command on the cluster; its exit status becomes this one's."""
    if argv[0] in ("sbatch", "srun") and not writable_by_learner(lifecycle.spec_of(name), Path.cwd()):
        click.echo(
            f"Note: {Path.cwd()} is read-only for the learner; a job that writes there fails.", err=True
        )
    _exec_on_node(name, node, user, str(Path.cwd()), list(argv))


def complete_log(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    folder = layout.cluster_folder(ctx.params.get("name") or DEFAULT_NAME) / "log"
    return sorted({path.stem for path in folder.glob("*") if path.stem.startswith(incomplete)})


@click.command()
@name_option
@click.option("--follow", "-f", is_flag=True, help="Go on as the log grows.")
@click.option("--lines", "-n", default=40, show_default=True, help="How many lines from the end.")
@click.argument("what", required=False, shell_complete=complete_log)
def logs(name: str, follow: bool, lines: int, what: str | None) -> None:
    """Show the log of WHAT: slurmctld, slurmdbd, mariadb, munged, nid001, …"""
    folder = layout.cluster_folder(name) / "log"
    known = sorted({path.stem for path in folder.glob("*.*")})
    if not known:
        raise ClusterError(f"cluster {name!r} has no logs in {folder}", f"Start it: hpclab up --name {name}")
    if what is None:
        click.echo("Logs: " + " ".join(known))
        return
    files = [path for suffix in ("log", "out", "txt") if (path := folder / f"{what}.{suffix}").exists()]
    if not files:
        raise UsageError(f"there is no log {what!r}", "Valid: " + ", ".join(known))
    argv = ["tail", "-n", str(lines), *(["-F"] if follow else []), "--", *map(str, files)]
    raise SystemExit(subprocess.run(argv, check=False).returncode)


@click.command()
def packages() -> None:
    """Fetch the system packages that a cluster needs. Else the first `up` does it."""
    with progress_line("looking") as progress:
        host = clusters.prepare_host(progress)
    click.echo(f"Complete: {host.prefix}")

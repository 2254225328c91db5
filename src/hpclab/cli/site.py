"""hpclab site list, env, show."""

from __future__ import annotations

import os

import click

from hpclab import sites
from hpclab.app.clusters import load_site, site_names


def complete_site(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in site_names() if name.startswith(incomplete)]


@click.group()
def site() -> None:
    """What differs between clusters: the profiles in sites/."""


@site.command("list")
def list_() -> None:
    """List the profiles."""
    for name in site_names():
        click.echo(f"{name:12} {load_site(name).title}")


@site.command()
@click.argument("name", shell_complete=complete_site)
@click.option("--gpu", is_flag=True, help="For jobs that need GPUs.")
def env(name: str, gpu: bool) -> None:
    """Slurm's own input variables for a site, to be evaluated:

        eval "$(hpclab site env perlmutter --gpu)"

    They override the lines of a script, so a script runs unedited everywhere.
    """
    click.echo(sites.format_exports(sites.environment(load_site(name), os.environ, gpu=gpu)), nl=False)


@site.command()
@click.argument("name", shell_complete=complete_site)
def show(name: str) -> None:
    """The facts of a site, each with its source and the date it was read."""
    profile = load_site(name)
    click.echo(profile.title)
    for fact in profile.facts:
        source = profile.sources.get(fact.source)
        where = (
            f"{source.url}, read {source.read}" + ("" if source.verified else ", NOT VERIFIED")
            if source
            else "no source"
        )
        click.echo(f"\n{fact.topic}: {fact.text}\n    [{where}]")

"""A site profile → a page: every fact with its source, its day, and whether anybody could check it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpclab.sites import Qos, Site

CODE = re.compile(r"(`[^`]*`)")
NO_LIMIT = "-"
URL = re.compile(r"https?://[^\s<>()]*[^\s<>().,;:]")


def page(site: Site) -> str:
    """The notes on ``site`` as MyST text."""
    parts = [
        f"# {site.title}",
        f"These notes come from the profile `sites/{site.name}.toml`, which also drives the course's tools: "
        f"`hpclab site show {site.name}` prints them. Each fact has a number that leads to its source, "
        "with the day on which we read it. **Unverified** marks what we could not check in a page or "
        "output of the site itself. Machines change; the site's own pages decide.",
        _submit(site),
        _facts(site),
        _qos(site),
        _sources(site),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _submit(site: Site) -> str:
    asked = {
        "account": f"from `${site.submit.account_env}`" if site.submit.account_env else site.submit.account,
        "partition": site.submit.partition,
        "QOS": site.submit.qos,
        "constraint": site.submit.constraint,
        "constraint of GPU jobs": site.submit.gpu_constraint,
    }
    rows = [
        f"| {what} | {value if value.startswith('from') else f'`{value}`'} |"
        for what, value in asked.items()
        if value
    ]
    command = f'```console\n$ eval "$(hpclab site env {site.name} --gpu)"\n```'
    if site.name == "local":
        said = "On the cluster that `hpclab up` starts, these are set for you:"
    else:
        said = (
            f"So that a script runs unedited, set Slurm's own variables once in your terminal:\n\n{command}"
        )
        said += "\n\n(leave out `--gpu` for jobs without GPUs). It sets:" if rows else ""
    return "\n\n".join(["## What a job has to say", said, _table(("what", "value"), rows)])


def _facts(site: Site) -> str:
    if not site.facts:
        return ""
    numbers = {name: number for number, name in enumerate(site.sources, 1)}
    lines = ["## Facts"]
    for fact in site.facts:
        source = site.sources.get(fact.source)
        doubt = "" if source and source.verified else " **Unverified.**"
        mark = f" [\\[{numbers[fact.source]}\\]](#{_anchor(fact.source)})" if source else ""
        lines.append(f"**{text(_capital(fact.topic))}**\n: {text(fact.text)}{doubt}{mark}")
    return "\n\n".join(lines)


def _qos(site: Site) -> str:
    if not site.cluster or not site.cluster.qos:
        return ""
    rows = [_qos_row(qos) for qos in site.cluster.qos]
    heading = ("QOS", "nodes", "hours", "jobs in the queue", "jobs running", "preempts", "source")
    return "\n\n".join(
        [
            "## What the embedded cluster imitates",
            f"`hpclab up --site {site.name}` starts a small cluster with these QOS and limits. "
            "A dash means no limit.",
            _table(
                heading,
                [
                    row + f"{_cited(site, qos.source)} |"
                    for row, qos in zip(rows, site.cluster.qos, strict=True)
                ],
            ),
        ]
    )


def _qos_row(qos: Qos) -> str:
    hours = f"{qos.max_wall_minutes / 60:g}" if qos.max_wall_minutes else NO_LIMIT
    counts = [str(count or NO_LIMIT) for count in (qos.max_nodes,)]
    queue = [str(count or NO_LIMIT) for count in (qos.max_submit_jobs, qos.max_running_jobs)]
    return (
        f"| `{qos.name}` | {' | '.join([*counts, hours, *queue])} | {', '.join(qos.preempts) or NO_LIMIT} | "
    )


def _cited(site: Site, name: str) -> str:
    if name not in site.sources:
        return "ours"
    number = list(site.sources).index(name) + 1
    doubt = "" if site.sources[name].verified else ", unverified"
    return f"[\\[{number}\\]](#{_anchor(name)}){doubt}"


def _sources(site: Site) -> str:
    used = {fact.source for fact in site.facts}
    used |= {qos.source for qos in site.cluster.qos} if site.cluster else set()
    used |= {node.source for node in site.node_type}
    used |= {rule.source for rule in site.cluster.refuses} if site.cluster else set()
    lines = ["## Sources"]
    for number, (name, source) in enumerate(site.sources.items(), 1):
        if name not in used:
            continue
        note = f" {text(_capital(source.note))}." if source.note else ""
        doubt = "" if source.verified else " **Unverified.**"
        lines.append(f"({_anchor(name)})=\n{number}. <{source.url}>, read {source.read}.{note}{doubt}")
    return "\n\n".join(lines) if len(lines) > 1 else ""


def _anchor(source: str) -> str:
    return f"source-{source}"


def _table(heading: Iterable[str], rows: list[str]) -> str:
    head = list(heading)
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]) if rows else ""


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:] if not words.startswith("`") else words


def text(plain: str) -> str:
    """``plain`` so that MyST shows it as it is, but for spans of code, which it keeps, and addresses, made links."""
    pieces = CODE.split(plain)
    return "".join(piece if CODE.fullmatch(piece) else _escaped(piece) for piece in pieces)


def _escaped(piece: str) -> str:
    done, result = 0, ""
    for found in URL.finditer(piece):
        result += _plain(piece[done : found.start()]) + f"<{found[0]}>"
        done = found.end()
    return result + _plain(piece[done:])


def _plain(words: str) -> str:
    return re.sub(r"([\\$*_{}\[\]<>|#~^])", r"\\\1", words)

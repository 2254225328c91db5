"""Render a site profile as a page: every fact with its source, its date, and whether it is verified."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpclab.sites import Qos, Site

CODE = re.compile(r"(`[^`]*`)")
NO_LIMIT = "-"
URL = re.compile(r"https?://[^\s<>()]*[^\s<>().,;:]")


def render_page(site: Site) -> str:
    """Return the notes on ``site`` as MyST text."""
    parts = [
        f"# {site.title}",
        f"These notes come from the profile `sites/{site.name}.toml`, which also drives the course's tools: "
        f"`hpclab site show {site.name}` prints them. The number after a fact links to its source, "
        "with the date when we read it. **Unverified** marks facts that we could not check on a page or in "
        "output of the site itself. Machines change, so the site's own pages take precedence.",
        _render_submit(site),
        _render_facts(site),
        _render_node_types(site),
        _render_qos(site),
        _render_sources(site),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _render_submit(site: Site) -> str:
    options = {
        "account": f"from `${site.submit.account_env}`" if site.submit.account_env else site.submit.account,
        "partition": site.submit.partition,
        "QOS": site.submit.qos,
        "constraint": site.submit.constraint,
        "constraint of GPU jobs": site.submit.gpu_constraint,
    }
    rows = [
        f"| {what} | {value if value.startswith('from') else f'`{value}`'} |"
        for what, value in options.items()
        if value
    ]
    command = f'```console\n$ eval "$(hpclab site env {site.name} --gpu)"\n```'
    if site.name == "local":
        text = "On the cluster that `hpclab up` starts, these are set for you:"
    else:
        text = (
            f"To run a script unedited, set Slurm's environment variables once in your terminal:\n\n{command}"
        )
        text += "\n\n(omit `--gpu` for jobs without GPUs). The command sets:" if rows else ""
    return "\n\n".join(["## Required options of a job", text, _render_table(("option", "value"), rows)])


def _render_facts(site: Site) -> str:
    if not site.facts:
        return ""
    numbers = {name: number for number, name in enumerate(site.sources, 1)}
    lines = ["## Facts"]
    for fact in site.facts:
        source = site.sources.get(fact.source)
        doubt = "" if source and source.verified else " **Unverified.**"
        mark = f" [\\[{numbers[fact.source]}\\]](#{_anchor(fact.source)})" if source else ""
        lines.append(f"**{escape_text(_capitalize(fact.topic))}**\n: {escape_text(fact.text)}{doubt}{mark}")
    return "\n\n".join(lines)


def _render_node_types(site: Site) -> str:
    if not site.node_type:
        return ""
    rows = [
        f"| {node.name} | {' '.join(f'`{feature}`' for feature in node.features)} | {node.cpus} "
        f"| {node.memory_mb / 1024:.3g} GiB | {node.gpus or '-'} | {_cite(site, node.source)} |"
        for node in site.node_type
    ]
    heading = ("node type", "`--constraint`", "CPUs, as Slurm counts them", "memory", "GPUs", "source")
    return "\n\n".join(["## Node types", _render_table(heading, rows)])


def _render_qos(site: Site) -> str:
    if not site.cluster or not site.cluster.qos:
        return ""
    rows = [_render_qos_row(qos) for qos in site.cluster.qos]
    heading = ("QOS", "nodes", "hours", "jobs in the queue", "jobs running", "preempts", "source")
    return "\n\n".join(
        [
            "## QOS of the embedded cluster",
            f"`hpclab up --site {site.name}` starts a small cluster with these QOS and limits. "
            "A dash means no limit.",
            _render_table(
                heading,
                [
                    row + f"{_cite(site, qos.source)} |"
                    for row, qos in zip(rows, site.cluster.qos, strict=True)
                ],
            ),
        ]
    )


def _render_qos_row(qos: Qos) -> str:
    hours = f"{qos.max_wall_minutes / 60:g}" if qos.max_wall_minutes else NO_LIMIT
    counts = [str(count or NO_LIMIT) for count in (qos.max_nodes,)]
    queue = [str(count or NO_LIMIT) for count in (qos.max_submit_jobs, qos.max_running_jobs)]
    return (
        f"| `{qos.name}` | {' | '.join([*counts, hours, *queue])} | {', '.join(qos.preempts) or NO_LIMIT} | "
    )


def _cite(site: Site, name: str) -> str:
    if name not in site.sources:
        return "this course"
    number = list(site.sources).index(name) + 1
    doubt = "" if site.sources[name].verified else ", unverified"
    return f"[\\[{number}\\]](#{_anchor(name)}){doubt}"


def _render_sources(site: Site) -> str:
    used = {fact.source for fact in site.facts}
    used |= {qos.source for qos in site.cluster.qos} if site.cluster else set()
    used |= {node.source for node in site.node_type}
    used |= {rule.source for rule in site.cluster.refuses} if site.cluster else set()
    lines = ["## Sources"]
    for number, (name, source) in enumerate(site.sources.items(), 1):
        if name not in used:
            continue
        note = f" {escape_text(_capitalize(source.note))}." if source.note else ""
        doubt = "" if source.verified else " **Unverified.**"
        lines.append(f"({_anchor(name)})=\n{number}. <{source.url}>, read {source.read}.{note}{doubt}")
    return "\n\n".join(lines) if len(lines) > 1 else ""


def _anchor(source: str) -> str:
    return f"source-{source}"


def _render_table(heading: Iterable[str], rows: list[str]) -> str:
    head = list(heading)
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]) if rows else ""


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:] if not text.startswith("`") else text


def escape_text(plain: str) -> str:
    """Escape ``plain`` for MyST; inline code stays code, and URLs become links."""
    pieces = CODE.split(plain)
    return "".join(piece if CODE.fullmatch(piece) else _escape_piece(piece) for piece in pieces)


def _escape_piece(piece: str) -> str:
    done, result = 0, ""
    for match in URL.finditer(piece):
        result += _escape_markup(piece[done : match.start()]) + f"<{match[0]}>"
        done = match.end()
    return result + _escape_markup(piece[done:])


def _escape_markup(text: str) -> str:
    return re.sub(r"([\\$*_{}\[\]<>|#~^])", r"\\\1", text)

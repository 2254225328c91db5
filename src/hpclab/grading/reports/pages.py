"""A page in one file, for learners and instructors: no script, nothing fetched, every text escaped.

``markupsafe`` escapes whatever is put into a piece of markup; only what is written in this package is markup.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence

from markupsafe import Markup

CSS = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2429; --soft: #55626a; --card: #f2f6f7;
  --line: #c9d4d8; --accent: #0b6877; --good: #1d6b45; --part: #8a4b00; --bad: #9c2f2f; --track: #dbe4e7; }
@media (prefers-color-scheme: dark) { :root { --ground: #12181c; --ink: #e6ecef; --soft: #a9b7be; --card: #1c252b;
  --line: #3a4a52; --accent: #6fd3e0; --good: #7fd6a8; --part: #ffc56b; --bad: #ff9d9d; --track: #33434b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
main.wide { max-width: 76rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.08rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p, ul, ol, dl { margin: .4rem 0; }
p, li, dd, dt, td, th { overflow-wrap: anywhere; }
a { color: var(--accent); }
.soft { color: var(--soft); }
.over { color: var(--soft); font-size: .95rem; margin: 0; }
.mark { font-size: 1.5rem; font-weight: 650; margin: 1rem 0 .3rem; }
.card { background: var(--card); border: 1px solid var(--line); border-left: .3rem solid var(--soft); border-radius: .5rem;
  padding: .8rem 1rem; margin: .8rem 0; }
.card.good { border-left-color: var(--good); }
.card.part { border-left-color: var(--part); }
.card.bad { border-left-color: var(--bad); }
.state { font-weight: 650; }
.state.good { color: var(--good); }
.state.part { color: var(--part); }
.state.bad { color: var(--bad); }
dt { font-weight: 650; margin-top: .4rem; }
dd { margin: 0; white-space: pre-wrap; }
.person { border-left: .2rem solid var(--accent); padding-left: .7rem; margin: .6rem 0; white-space: pre-wrap; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .8rem; margin: .5rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden; font-size: .86rem; line-height: 1.45; max-width: 100%;
  font-family: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
img { max-width: 100%; height: auto; display: block; background: #fff; border-radius: .4rem; padding: .4rem; }
summary { cursor: pointer; font-weight: 650; padding: .3rem 0; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
svg { display: block; max-width: 100%; }
svg.chart { width: 100%; max-width: 40rem; }
svg.bar { width: 100%; height: .7rem; border-radius: .35rem; }
svg text { fill: var(--ink); font-size: 13px; font-family: inherit; }
.track { fill: var(--track); }
.fill { fill: var(--accent); }
.axis { stroke: var(--soft); stroke-width: 1; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media (max-width: 40rem) { .scroll table, .scroll caption, .scroll tbody, .scroll tr, .scroll td { display: block; }
  .scroll thead { position: absolute; clip-path: inset(50%); height: 1px; width: 1px; overflow: hidden; }
  .scroll tr { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; padding: .3rem .6rem; }
  .scroll td { border: 0; padding: .15rem 0; } .scroll td.number { text-align: left; } .scroll td:empty { display: none; }
  .scroll td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); } }
@media print { main { max-width: none; } .card, pre { break-inside: avoid; } }
"""
_HASH = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
# Only our own style, and pictures that are in the page. Whatever else got in by a mistake of ours does nothing.
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"

SHELL = Markup("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main{wide}>
{body}
</main>
</body>
</html>
""")


def page(title: str, body: Iterable[Markup], *, wide: bool = False) -> bytes:
    """The whole file. ``body`` is markup; ``title`` a text."""
    text = SHELL.format(
        policy=POLICY,
        title=title,
        css=Markup(CSS),
        wide=Markup(' class="wide"') if wide else "",
        body=Markup("\n").join(piece for piece in body if piece),
    )
    return text.encode()


def bar(part: float, whole: float, words: str) -> Markup:
    """How much of the whole: ``words`` say it to those who do not see it."""
    share = 0.0 if whole <= 0 else max(0.0, min(1.0, part / whole))
    return Markup(
        '<svg class="bar" role="img" aria-label="{}"><rect class="track" width="100%" height="100%"/>'
        '<rect class="fill" width="{}%" height="100%"/></svg>'
    ).format(words, f"{100 * share:.1f}")


def listed(items: Iterable[str | Markup]) -> Markup:
    """A list, or nothing."""
    rows = Markup("").join(Markup("<li>{}</li>").format(item) for item in items)
    return Markup("<ul>{}</ul>").format(rows) if rows else Markup("")


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Sequence[str | Markup]], numbers: Sequence[int] = ()
) -> Markup:
    """A table that becomes a list of cards on a phone. ``numbers``: columns set to the right."""
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(_right(at, numbers), heading)
        for at, heading in enumerate(headings)
    )
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td{} data-label="{}">{}</td>').format(_right(at, numbers), headings[at], cell)
                for at, cell in enumerate(row)
            )
        )
        for row in rows
    )
    return Markup(
        '<div class="scroll"><table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(caption, head, body)


def _right(at: int, numbers: Sequence[int]) -> Markup:
    return Markup(' class="number"') if at in numbers else Markup("")


def picture(png: bytes, words: str) -> Markup:
    """A PNG in the page; ``words`` say the same."""
    return Markup('<img src="data:image/png;base64,{}" alt="{}">').format(
        base64.b64encode(png).decode(), words
    )

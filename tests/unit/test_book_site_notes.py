"""The site notes have every fact of the profiles, with source, date and verification."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from hpclab import sites
from hpclab.book import site_notes
from hpclab.sites import Fact, Site, Source, Submit


def site(text: str = "A node has 4 CPUs.", *, verified: bool = True) -> Site:
    source = Source(
        url="https://site.org/a", read=datetime.date(2026, 11, 1), verified=verified, note="a copy"
    )
    return Site(
        name="plain",
        title="Plain",
        submit=Submit(),
        sources={"docs": source},
        facts=[Fact(topic="nodes", text=text, source="docs")],
    )


@pytest.mark.parametrize("name", ["perlmutter", "generic", "local"])
def test_every_fact_of_a_profile_is_there_with_its_source(root: Path, name: str) -> None:
    profile = sites.load(name, root / "sites")
    page = site_notes.render_page(profile)
    assert profile.facts
    for fact in profile.facts:
        assert f"{site_notes.escape_text(fact.text)}" in page
        assert f"(source-{fact.source})=" in page
    used = {fact.source for fact in profile.facts} | {node.source for node in profile.node_type}
    if profile.cluster:
        used |= {qos.source for qos in profile.cluster.qos} | {
            rule.source for rule in profile.cluster.refuses
        }
    assert used - {""}
    for name, source in profile.sources.items():
        listed = f"(source-{name})=\n" in page and f". <{source.url}>, read {source.read}." in page
        assert listed is (name in used), name


def test_node_types_are_listed_with_their_size(root: Path) -> None:
    page = site_notes.render_page(sites.load("perlmutter", root / "sites"))
    assert "| cpu | `cpu` | 256 | 512 GiB | - | [" in page
    assert "## Node types" not in site_notes.render_page(site())


def test_a_fact_that_changes_in_the_profile_changes_in_the_page() -> None:
    assert "8 CPUs" in site_notes.render_page(site("A node has 8 CPUs."))
    assert "8 CPUs" not in site_notes.render_page(site())


def test_unverified_facts_and_sources_are_marked() -> None:
    mark = " **Unverified.**"
    assert site_notes.render_page(site(verified=False)).count(mark) == 2
    assert site_notes.render_page(site()).count(mark) == 0


def test_the_page_names_source_day_and_note() -> None:
    page = site_notes.render_page(site())
    assert "1. <https://site.org/a>, read 2026-11-01. A copy." in page
    assert "[\\[1\\]](#source-docs)" in page


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        ("$SCRATCH and $PSCRATCH", "\\$SCRATCH and \\$PSCRATCH"),
        ("use `$SCRATCH *` here", "use `$SCRATCH *` here"),
        ("see https://a.org/b_c, and go", "see <https://a.org/b_c>, and go"),
        ("a*b_c [d]", "a\\*b\\_c \\[d\\]"),
    ],
)
def test_text_of_a_profile_is_escaped(plain: str, shown: str) -> None:
    assert site_notes.escape_text(plain) == shown


def test_the_commands_fit_the_site(root: Path) -> None:
    assert 'eval "$(hpclab site env perlmutter --gpu)"' in site_notes.render_page(
        sites.load("perlmutter", root / "sites")
    )
    assert "site env local" not in site_notes.render_page(sites.load("local", root / "sites"))

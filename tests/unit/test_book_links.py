"""Dead links, pictures without alt text, and resources from other hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab.book import accessibility, links

OTHER = '<h2 id="place">Here</h2>'


def faults(tmp_path: Path, body: str, **files: str) -> list[str]:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/page.html").write_text(f"<main>{body}</main>")
    (tmp_path / "other.html").write_text(OTHER)
    (tmp_path / "index.html").write_text("")
    for name, content in files.items():
        (tmp_path / name.replace("_", ".")).write_text(content)
    return links.find_faults(links.read_pages(tmp_path))


@pytest.mark.parametrize(
    "body",
    [
        '<a href="../other.html#place">x</a>',
        '<a href="page.html">x</a> <a href="#me">x</a><p id="me">',
        '<a href="../">x</a>',
        '<a href="https://site.org/#x">x</a> <a href="mailto:a@b.org">x</a>',
        '<img src="../other.html" alt=""> <img src="../other.html" alt="Three jobs">',
        '<a href="../other.html?highlight=x">x</a>',
    ],
)
def test_valid_pages_pass(tmp_path: Path, body: str) -> None:
    assert faults(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('<a href="gone.html">x</a>', "gone.html does not exist"),
        ('<a href="../other.html#elsewhere">x</a>', "other.html has no such anchor"),
        ('<a href="#nowhere">x</a>', "deep/page.html has no such anchor"),
        ('<a href="../../../etc/passwd">x</a>', "does not exist"),
        ('<img src="../other.html">', "has no alt text"),
        ('<img src="a.png" alt="a.png">', "has no alt text"),
        ('<script src="https://cdn.org/x.js"></script>', "fetches https://cdn.org/x.js"),
        ('<script src="//cdn.org/x.js"></script>', "fetches //cdn.org/x.js"),
        ('<link rel="stylesheet" href="https://fonts.org/x.css">', "fetches https://fonts.org/x.css"),
        ('<iframe src="https://video.org"></iframe>', "fetches https://video.org"),
        ('<p style="background: url(https://a.org/x.png)">', "fetches https://a.org/x.png"),
    ],
)
def test_faults_are_reported_with_their_page(tmp_path: Path, body: str, says: str) -> None:
    found = faults(tmp_path, body)
    assert any(one.startswith("deep/page.html: ") and says in one for one in found), found


def test_styles_are_read_too(tmp_path: Path) -> None:
    found = faults(tmp_path, "", own_css="@import 'https://fonts.org/a.css'; a { b: url(local.png) }")
    assert found == ["own.css: fetches https://fonts.org/a.css"]


def test_external_links_are_listed_and_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://b.org">x</a> <a href="https://a.org">x</a> <a href="a.html">x</a>'
    )
    assert links.list_external(links.read_pages(tmp_path)) == ["https://a.org", "https://b.org"]


@pytest.mark.parametrize(
    ("written", "has"),
    [
        (
            '<a href="x">Slurm</a><details open="open"><summary><span class="toctree-toggle" role="x">',
            '<summary aria-label="Pages below: Slurm">',
        ),
        ('<div class="bd-sidebar-primary bd-sidebar">', 'role="region"'),
        ('<div class="pst-scrollable-table-container">', 'tabindex="0"'),
        (
            '<th class="head"><p></p></th><th class="head"><p>Name</p></th>',
            '<td class="head"></td><th class="head"><p>Name</p></th>',
        ),
        ('<th class="head"></th>', '<td class="head"></td>'),
    ],
)
def test_theme_violations_are_fixed(written: str, has: str) -> None:
    assert has in accessibility.fix_page(written)


def test_other_html_is_not_changed() -> None:
    page = "<details><summary>Hint</summary></details><th class='head'><p>x</p></th>"
    assert accessibility.fix_page(page) == page

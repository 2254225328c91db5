"""Links and pictures are found in text, never in code."""

import pytest

from hpclab.exercises import links


def found(text: str) -> list[tuple[str, bool]]:
    return [(reference.target, reference.image) for reference in links.find_references(text)]


def test_every_kind_is_found() -> None:
    assert found("[a](b.md) ![c](d.png)\n\n| x |\n|---|\n| [e](f#g) |") == [
        ("b.md", False),
        ("d.png", True),
        ("f#g", False),
    ]
    assert found("<img alt='x' src='a.png'> and\n\n<div><a href=\"b&amp;c\">x</a></div>") == [
        ("a.png", True),
        ("b&c", False),
    ]
    assert found("[a][b]\n\n[b]: c.md 'title'") == [("c.md", False)]


def test_links_in_code_are_skipped() -> None:
    assert found("`[a](b)`\n\n```\n![c](d)\n```\n\n    [e](f)") == []


@pytest.mark.parametrize(
    ("target", "local"),
    [("a.md", True), ("../b#c", True), ("#c", False), ("http://[", True), ("https://x.org/a", False)],
)
def test_local_means_a_file(target: str, local: bool) -> None:
    assert links.Reference(target, False).local is local


def test_retarget_changes_that_target_only() -> None:
    text = "![a](p.png) ![b](p.png 'title') [c](p.png2) <img src=\"p.png\">\n[d]: p.png"
    assert links.retarget(text, "p.png", "q") == "![a](q) ![b](q 'title') [c](p.png2) <img src=\"q\">\n[d]: q"


def test_links_to_labs_become_links_to_notebooks() -> None:
    text = "[a](ex02-b.md) [b](../03-c/ex01-d.md#e) [c](README.md) [d](../../03-c/ex01-d.md)"
    text += " [e](ex02-b.md 'title') <a href='ex02-b.md#f'>g</a>\n\n[h]: ex02-b.md"
    assert links.link_notebooks(text) == (
        "[a](../ex02-b/ex02-b.ipynb) [b](../../03-c/ex01-d/ex01-d.ipynb#e) [c](README.md) [d](../../03-c/ex01-d.md)"
        " [e](../ex02-b/ex02-b.ipynb 'title') <a href='../ex02-b/ex02-b.ipynb#f'>g</a>\n\n[h]: ../ex02-b/ex02-b.ipynb"
    )

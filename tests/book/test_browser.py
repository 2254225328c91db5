"""The built book in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hpclab.book import browser

from .conftest import LAB, Book

if TYPE_CHECKING:
    from playwright.sync_api import Page

# One of each kind; `hpclab book check` looks at all of them.
PAGES = ["index.html", f"{LAB}.html", "sites/perlmutter.html", "reference/glossary.html", "templates.html"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_pass_the_accessibility_audit(
    whole: Book, chromium: str, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    report = browser.audit(whole.html, only=[page])
    assert report.faults == []
    assert report.views == len(browser.VIEWPORTS)


def test_audit_reports_faults(tmp_path: Path, chromium: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    (tmp_path / "bad.html").write_text(
        '<html lang="en"><title>x</title><main><h1>x</h1><p style="color:#aaa;background:#fff">pale</p>'
        '<div style="width:2000px">wide</div><img src="https://elsewhere.invalid/x.png" alt="x">'
        "<script>throw new Error('oops')</script></main></html>"
    )
    found = "\n".join(browser.audit(tmp_path).faults)
    for says in (
        "color-contrast",
        "wider than the window",
        "requests https://elsewhere.invalid/x.png",
        "oops",
    ):
        assert says in found


def test_search_finds_a_page(page: Page) -> None:
    page.locator("button.search-button__button").first.click()
    page.locator("input[name=q]").first.fill("backfill")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=backfill")
    page.locator("ul.search li a", has_text="Glossary").first.wait_for()


def test_there_is_one_search_field(page: Page) -> None:
    """A newer theme shows a second one in the page's head; that is why its version is pinned."""
    assert page.locator("input[name=q]").count() == 1


def test_light_and_dark_by_a_button(page: Page) -> None:
    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    seen = {ground()}
    for _ in range(3):
        page.locator("button.theme-switch-button").first.click()
        seen.add(ground())
    assert len(seen) == 2

"""Feedback and report in a real browser: everybody can use them, and nothing of a stranger's runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab.app.course.feedback import draw_timeline, write_feedback
from hpclab.app.course.labs import read_marks
from hpclab.book import browser
from hpclab.grading import gradebook
from hpclab.grading.reports import class_report, overview, pages
from hpclab.grading.reports.feedback_model import build_feedback
from tests import class_data

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
BOOK = "https://book.example/hpc"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everybody's feedback and the report."""
    known = class_data.course(tmp_path_factory.mktemp("class"))
    lab, results = class_data.lab(), class_data.all_results()
    gradebook.write(known, lab, results, class_data.receipts(results))
    marks = read_marks(known, lab.name)
    for student, one in marks.results.items():
        page = build_feedback(
            known,
            lab,
            one,
            marks.scores[student],
            marks.lateness.get(student),
            now=class_data.NOON,
            book=BOOK,
            draw_timeline=draw_timeline,
        )
        write_feedback(known, page)
    summary = class_report.summarize(known.title, lab, overview.build_rows(known, marks), marks.results)
    (known.folder / "feedback/report.html").write_bytes(pages.render_report(summary))
    return known.folder / "feedback"


def test_everybody_can_use_the_pages(site: Path, chromium: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Light on a wide screen, dark on a phone; axe, requests to elsewhere, scripts, and what sticks out."""
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    pages = [f"{student}/ex01-jobs/ex01-jobs.html" for student in ("ada", "bob", "eve", "kim", "mia")]
    seen = browser.audit(site, only=[*pages, "report.html"])
    assert seen.faults == [] and seen.views == 6 * len(browser.VIEWPORTS)


def test_a_hostile_page_does_nothing(
    site: Path, chromium: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    happened: list[str] = []
    with browser.open_browser() as opened:
        for name in ("mia/ex01-jobs/ex01-jobs.html", "eve/ex01-jobs/ex01-jobs.html", "report.html"):
            page = opened.new_page(viewport={"width": 900, "height": 1000})
            page.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
            page.on("console", lambda said: happened.append(said.text))
            page.goto((site / name).as_uri())
            assert page.title().startswith("Jobs, asked & answered")
            assert page.locator("h1").is_visible()
            page.screenshot(path=tmp_path / f"{name.split('/')[0]}.png", full_page=True)
    assert happened == [], "a dialog, or the browser says that the policy forbade something"


def test_the_policy_stops_what_would_get_in(
    site: Path, chromium: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Even if a mistake of ours let markup through, it would do nothing."""
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    text = (site / "mia/ex01-jobs/ex01-jobs.html").read_text()
    bad = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><style>h1{display:none}</style>"
    (tmp_path / "bad.html").write_text(text.replace("<h1>", f"{bad}<h1>"))
    with browser.open_browser() as opened:
        page = opened.new_page()
        page.goto((tmp_path / "bad.html").as_uri())
        assert page.title().startswith("Jobs, asked") and page.locator("h1").is_visible()

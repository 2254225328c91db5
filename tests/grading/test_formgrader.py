"""The formgrader on a class that hpclab graded: a real JupyterLab, a real browser, a person who sets a mark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpclab.book import browser
from hpclab.grading import formgrader, gradebook
from hpclab.grading.model import Result, Verdict
from hpclab.grading.settings import Course
from hpclab.shell import tail, wait_until
from tests import class_data

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.timeout(600),
]
LAB = class_data.lab()
TOKEN = "a-token-for-this-test"


@pytest.fixture
def known(tmp_path: Path, root: Path) -> Course:
    """A class in a path with a space, graded."""
    folder = tmp_path / "my class"
    found = class_data.course(folder)
    template = (root / "autograder" / formgrader.CONFIG).read_text()
    (folder / formgrader.CONFIG).write_text(formgrader.render_config(template, found.title))
    gradebook.release(found, LAB, class_data.source_notebook())
    write(found, class_data.all_results())
    return found


def write(known: Course, results: list[Result]) -> None:
    receipts = class_data.receipts(results)
    gradebook.write(known, LAB, results, receipts, submitted=lambda one: one.executed.encode() or None)


@pytest.fixture
def address(known: Course, tmp_path: Path) -> Iterator[str]:
    """JupyterLab with nbgrader's extensions, started in the class's folder; the formgrader's address."""
    home = tmp_path / "home"
    home.mkdir()
    bin = Path(sys.executable).parent
    environment = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "PATH": f"{bin}:{os.environ['PATH']}",
    }
    words = ["-m", "jupyterlab", "--no-browser", "--port=0", f"--IdentityProvider.token={TOKEN}"]
    root = ["--allow-root"] if os.geteuid() == 0 else []
    log = tmp_path / "jupyterlab.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, *words, *root, f"--ServerApp.root_dir={known.folder}"],
            cwd=known.folder,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def there() -> str | None:
            assert server.poll() is None, tail(log, 40)
            for path in (home / "runtime").glob("jpserver-*.json"):
                if text := path.read_text():  # it may not be written to its end yet
                    return f"http://127.0.0.1:{json.loads(text)['port']}/formgrader"
            return None

        yield wait_until(there, "JupyterLab to start", seconds=120, log=log)
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(30)


@pytest.fixture
def page(address: str, chromium: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A browser that is logged in. A dialog, a script's error, a request to elsewhere fails the test."""
    monkeypatch.setenv("HPCLAB_BROWSER", chromium)
    wrong: list[str] = []
    server = address.removesuffix("/formgrader")
    with browser.open_browser() as opened:
        shown = opened.new_page(viewport={"width": 1280, "height": 1000})
        shown.set_default_timeout(60_000)
        shown.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        shown.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        shown.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((server, "data:", "blob:"))
                else wrong.append(f"asks for {asked.url}")
            ),
        )
        shown.goto(f"{address}?token={TOKEN}")
        yield shown
    assert wrong == []


def rows(page: Page, address: str) -> dict[str, list[str]]:
    """The table at ``address``, by its first cell."""
    page.goto(address)
    page.locator("#main-table tr td").first.wait_for()
    page.wait_for_function("typeof models !== 'undefined' && models.loaded")
    cells = "es => es.map(e => [...e.querySelectorAll('td')].map(cell => cell.innerText.trim()))"
    table = page.locator("#main-table tr").evaluate_all(cells)
    return {row[0]: row for row in table}


def submission(page: Page, address: str, student: str) -> None:
    """Open the page of one submission and wait until the marks are in it."""
    page.goto(f"{address}/gradebook/{LAB.name}/{LAB.name}")
    page.wait_for_function("typeof models !== 'undefined' && models.loaded")
    found = page.evaluate("name => models.find(one => one.get('student') === name).get('id')", student)
    page.goto(f"{address}/submissions/{found}/")
    page.wait_for_function("formgrader.loaded && formgrader.grades.loaded && formgrader.comments.loaded")


def placeholders(page: Page) -> dict[str, str | None]:
    """The automatic marks, as the page shows them."""
    fields = page.locator("input.score")
    return {str(one.get_attribute("id")): one.get_attribute("placeholder") for one in fields.all()}


def test_a_person_grades_in_the_formgrader(known: Course, address: str, page: Page, tmp_path: Path) -> None:
    shown = rows(page, f"{address}/manage_assignments")
    assert shown[LAB.name][1] == "2026-11-30 13:00:00 CET", "the deadline, in the class's zone"
    page.screenshot(path=tmp_path / "assignments.png")

    shown = rows(page, f"{address}/manage_submissions/{LAB.name}")
    by_id = {row[1]: row for row in shown.values()}
    assert {student: row[4] for student, row in by_id.items()} == {
        **{"ada": "5 / 5", "bob": "3 / 5", "eve": "0 / 5", "fay": "2 / 5"},
        **{"gus": "0 / 5", "kim": "0 / 5", "leo": "3 / 5", "mia": "3 / 5"},
    }
    assert by_id["eve"][3] == "needs manual grading" and by_id["ada"][3] == "graded"
    assert by_id["bob"][2] == "2026-11-30 15:00:00 CET"
    page.screenshot(path=tmp_path / "submissions.png")

    submission(page, address, "bob")
    assert placeholders(page) == {"submit-tests": "2", "wait-tests": "1", "wait-hidden-tests": "0"}
    assert "SECRET of the hidden test" in page.content(), "an instructor sees the hidden tests"
    save(page, "#wait-hidden-tests", "1.5", "/api/grade/")
    save(page, "#wait-hidden-tests_extra_credit", "0.5", "/api/grade/")
    save(page, "#wait-comment", "Nearly: the reason changed.", "/api/comment/")
    page.screenshot(path=tmp_path / "by hand.png", full_page=True)

    again = class_data.result("bob", Verdict.PASS, (2, 1, 2), received=class_data.NOON + 7200)
    write(known, [again])
    submission(page, address, "bob")
    assert placeholders(page)["wait-hidden-tests"] == "2", "the new automatic mark, without a restart"
    assert page.locator("#wait-hidden-tests").input_value() == "1.5"
    assert page.locator("#wait-hidden-tests_extra_credit").input_value() == "0.5"
    assert page.locator("#wait-comment").input_value() == "Nearly: the reason changed."
    mine = gradebook.read_scores(known, LAB.name)["bob"]
    assert (mine.score, mine.needs_look, mine.comments) == (5, True, {"wait": "Nearly: the reason changed."})
    page.screenshot(path=tmp_path / "graded again.png", full_page=True)
    page.locator("button.mark-graded >> visible=true").click()
    wait_until(lambda: not gradebook.read_scores(known, LAB.name)["bob"].needs_look, "the mark", seconds=30)


def save(page: Page, field: str, text: str, call: str) -> None:
    """Type into a field and leave it, as a person does; wait until the server has it."""
    with page.expect_response(lambda got: call in got.url and got.request.method == "PUT") as saved:
        page.locator(field).fill(text)
        page.locator(field).blur()
    assert saved.value.ok


def test_a_hostile_notebook_does_nothing_there(
    known: Course, address: str, page: Page, tmp_path: Path
) -> None:
    submission(page, address, "mia")
    assert page.title() == LAB.name and page.locator("body").is_visible()
    assert "<script>document.title='owned'</script>" in page.locator("body").inner_text()
    assert page.locator("#notebook svg, #notebook iframe, #notebook form").count() == 0
    sources = page.locator("#notebook img").evaluate_all("es => es.map(e => e.src)")
    assert sources and all(one.startswith("data:image/png;base64,") for one in sources)
    page.screenshot(path=tmp_path / "hostile.png", full_page=True)
    for place in ("manage_students", f"gradebook/{LAB.name}/{LAB.name}"):
        rows(page, f"{address}/{place}")


REFUSED = {
    f"submission/{LAB.name}/ada/autograde": "hpclab grade",
    f"assignment/{LAB.name}/generate_feedback": "hpclab feedback",
    f"assignment/{LAB.name}/collect": "hpclab collect",
    f"assignment/{LAB.name}/release_feedback": "hpclab feedback LAB --exchange",
}
POST = """async address => {
    const cookie = Object.fromEntries(document.cookie.split('; ').map(one => one.split('=')));
    const got = await fetch(address, {method: 'POST', headers: {'X-XSRFToken': cookie._xsrf}});
    return await got.json();
}"""


def test_buttons_that_would_do_harm_name_our_command(known: Course, address: str, page: Page) -> None:
    before = files(known.folder)
    for call, says in REFUSED.items():
        answer: Any = page.evaluate(POST, f"{address}/api/{call}")
        assert answer["success"] is False and says in answer["error"], call
    assert files(known.folder) == before
    assert gradebook.read_scores(known, LAB.name)["ada"].score == 5


def files(folder: Path) -> dict[Path, bytes]:
    """Every file but the database, in which nbgrader may note a course."""
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: data for path, data in found.items() if not path.name.startswith("gradebook.db")}


def test_nbgrader_s_own_program_hands_our_lab_out_again(known: Course) -> None:
    """`nbgrader generate_assignment` on our source makes our release, and finds nothing to change."""
    bin = Path(sys.executable).parent
    released = known.folder / "release" / LAB.name / f"{LAB.name}.ipynb"
    before = released.read_bytes()
    done = subprocess.run(
        [bin / "nbgrader", "generate_assignment", LAB.name, "--force"],
        cwd=known.folder,
        env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert released.read_bytes() == before

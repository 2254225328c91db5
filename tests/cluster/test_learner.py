"""What a learner does in the first hour: `hpclab lab`, a browser, the first lab to its end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import TimeoutError

from hpclab.book import browser
from hpclab.exercises import source, views
from hpclab.shell import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.cluster.conftest import Cluster

LAB = "01-slurm-basics/ex01-submit-monitor"
NOTEBOOK = f"{LAB}/ex01-submit-monitor.ipynb"
PATIENCE = 600  # seconds for the whole notebook, on a busy machine


@pytest.fixture
def at_home(stopped: Cluster) -> Iterator[Cluster]:
    """A cluster to come, of a person whose work goes into a folder of their own, in a path with a space."""
    stopped.state.chmod(0o755)  # the learner inside is somebody else than the one who runs the tests
    lab = stopped.state / "my lab"
    person = type(stopped.person)(stopped.person.home, {**stopped.person.environment, "HPCLAB_LAB": str(lab)})
    cluster = type(stopped)(person, stopped.name, stopped.state)
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.mark.timeout(PATIENCE + 200)
def test_the_first_lab_in_a_browser(at_home: Cluster, root: Path, chromium: str, tmp_path: Path) -> None:
    said = at_home.hpclab("lab", "--detach", "--no-open", timeout=180).stdout
    address = re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\S+", said)
    assert address, said
    notebook = at_home.state / "my lab" / NOTEBOOK
    untouched = notebook.read_text()
    assert "BEGIN SOLUTION" not in untouched and ":::" not in untouched
    solve(notebook, root / "notebooks" / f"{LAB}.md")

    with browser.open_browser() as chrome:
        page = chrome.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address[0].replace("/lab?", f"/lab/tree/{NOTEBOOK}?"))
        run_all(page)
        page.screenshot(path=tmp_path / "at the end.png")
        assert page.get_by_text("Traceback").count() == 0

    passed = re.findall(
        r"^Passed: (\d+)(?: of \1 points?\.| points? here; \d+ more )", printed(notebook), re.MULTILINE
    )
    assert sum(map(int, passed)) == 9, "the tenth point is hidden from the learner"


def printed(notebook: Path) -> str:
    """All that the notebook's cells printed, as saved."""
    cells = json.loads(notebook.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", "")) for output in outputs)


def solve(notebook: Path, exercise: Path) -> None:
    """Put the reference answers into a learner's notebook, as if typed in."""
    answers = {cell.id: cell.source for cell in views.reference_view(source.load(exercise)).cells}
    work = json.loads(notebook.read_text())
    for cell in work["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = answers[cell["id"]]
    notebook.write_text(json.dumps(work))  # in place: the file stays the learner's


def run_all(page: Page) -> None:
    """Menu Run, Run All Cells; wait until the kernel has done them; save."""
    idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    idle.wait_for(timeout=120_000)
    page.get_by_role("heading", name="The story").click()

    def begun() -> bool:
        """A page that is still being put together may swallow a click."""
        page.keyboard.press("Escape")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.locator(".jp-Notebook-ExecutionIndicator[data-status='busy']").wait_for(timeout=10_000)
        except TimeoutError:
            return False
        return True

    wait_until(begun, "the kernel to begin", seconds=90)
    idle.wait_for(timeout=PATIENCE * 1000)
    page.keyboard.press("Control+s")
    wait_until(
        lambda: page.locator(".jp-mod-dirty").count() == 0 or None,
        "the notebook to be saved",
        seconds=60,
        every=0.2,
    )

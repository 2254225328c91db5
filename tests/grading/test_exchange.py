"""Through nbgrader's exchange with nbgrader's own programs at the learner's end: fetch, submit, fetch feedback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.app.course.feedback import write_feedback
from hpclab.grading import formgrader, gradebook
from hpclab.grading.reports import exchange
from hpclab.grading.reports.feedback_model import build_feedback
from tests import class_data

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.timeout(600),
]
LAB = class_data.lab()


def test_a_learner_fetches_hands_in_and_fetches_feedback(tmp_path: Path, root: Path) -> None:
    folder, shared, learner = tmp_path / "class", tmp_path / "exchange", tmp_path / "learner"
    for path in (shared, learner):
        path.mkdir()
    shared.chmod(0o777)
    known = class_data.course(folder)
    template = (root / "autograder" / formgrader.CONFIG).read_text()
    there = f"c.Exchange.root = {str(shared)!r}\n"
    (folder / formgrader.CONFIG).write_text(formgrader.render_config(template, known.title) + there)
    gradebook.release(known, LAB, class_data.source_notebook())
    formgrader.hand_out(folder, LAB.name)
    nbgrader = formgrader.read_config(folder)
    config = f"c = get_config()\n{there}c.CourseDirectory.course_id = {nbgrader.course!r}\n"
    (learner / formgrader.CONFIG).write_text(config)

    def run(*words: str) -> str:
        bin = Path(sys.executable).parent
        done = subprocess.run(
            [bin / "nbgrader", *words],
            cwd=learner,
            env={**os.environ, "HOME": str(learner), "JUPYTER_DATA_DIR": str(learner / ".jupyter")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("fetch_assignment", LAB.name)
    assert (learner / LAB.name / f"{LAB.name}.ipynb").read_text() == LAB.notebook
    run("submit", LAB.name)
    [submitted] = (shared / nbgrader.course / "inbound").iterdir()

    result = class_data.result("ada")
    [receipt] = class_data.receipts([result])
    receipt = type(receipt)(
        **{name: getattr(receipt, name) for name in receipt.__struct_fields__ if name != "source"},
        source=f"exchange: {submitted.name}",
    )
    gradebook.write(known, LAB, [result], [receipt])
    scores = gradebook.read_scores(known, LAB.name)["ada"]
    page = write_feedback(known, build_feedback(known, LAB, result, scores, None, now=class_data.NOON))
    name = exchange.file_name(nbgrader, receipt)
    assert name
    exchange.hand_out(nbgrader, name, page.read_bytes())

    run("fetch_feedback", LAB.name)
    [fetched] = (learner / LAB.name / "feedback").glob("*/*.html")
    assert fetched.read_bytes() == page.read_bytes()

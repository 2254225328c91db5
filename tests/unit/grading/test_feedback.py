"""Feedback: enough to continue, nothing of hidden tests, and nothing that runs."""

from __future__ import annotations

import html.parser
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hpclab.app.course.feedback import write_feedback
from hpclab.errors import GradingError
from hpclab.grading import gradebook
from hpclab.grading.formgrader import Nbgrader
from hpclab.grading.gradebook import CellScore, StudentScores
from hpclab.grading.gradebook.plan import plan_marks
from hpclab.grading.lateness import compute_lateness
from hpclab.grading.model import Mark, NotebookRun, Result, Verdict
from hpclab.grading.reports import exchange, feedback_text, pages, wording
from hpclab.grading.reports.feedback_model import (
    FeedbackPage,
    build_feedback,
    find_sections,
    section_anchor,
    select_log_lines,
)
from hpclab.grading.settings import Course
from tests import class_data

LAB = class_data.lab()
BOOK = "https://book.example/hpc/"
DAY = 86400.0


@pytest.fixture
def known(tmp_path: Path) -> Course:
    return class_data.course(tmp_path / "class")


def standing(result: Result, comments: dict[str, str] | None = None, **by_hand: Any) -> StudentScores:
    """What the gradebook would say."""
    scores = plan_marks(result, LAB).scores
    parts = [CellScore(test=test.id, points=test.points, auto=scores[test.id]) for test in LAB.tests]
    if by_hand:
        parts[-1] = msgspec.structs.replace(parts[-1], **by_hand)
    return StudentScores(
        student=result.task.student,
        received=result.task.received,
        tests=tuple(parts),
        comments=comments or {},
    )


def say(
    known: Course,
    result: Result,
    mine: StudentScores | None = None,
    now: float = class_data.NOON,
    **more: Any,
) -> FeedbackPage:
    due = known.due(LAB.name, result.task.student)
    late = compute_lateness(result.task.received, due, known.late, known.zone)
    return build_feedback(known, LAB, result, mine or standing(result), late, now=now, **more)


def of(student: str) -> Result:
    return next(one for one in class_data.all_results() if one.task.student == student)


def both(one: FeedbackPage) -> tuple[str, str]:
    return pages.render_feedback(one).decode(), feedback_text.render_text(one).decode()


class Seen(html.parser.HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_words_and_a_next_step(known: Course, verdict: Verdict) -> None:
    result = class_data.result(
        "ada", verdict, (2, 0, 0), run=NotebookRun(ended="x", seconds=61.2, last_cell="wait")
    )
    for text in both(say(known, result)):
        seen = " ".join(Seen(text).text.split()) if text.startswith("<!") else " ".join(text.split())
        said = wording.describe_verdict(result)
        assert said.title in seen and said.happened in seen and said.next in seen
        assert not re.search(rf"\b{verdict}\b", seen), "the word itself is for programs"


def test_a_task_names_finding_expectation_and_reading(known: Course) -> None:
    text, short = both(say(known, of("mia"), book=BOOK))
    for wanted in ("job 12 ended FAILED (mia)", "COMPLETED", "sacct -X -j 12", "1. The first job"):
        assert wanted in text and wanted in short
    assert f'href="{BOOK}01-slurm/ex01-jobs.html#the-first-job"' in text
    assert "href" not in pages.render_feedback(say(known, of("mia"))).decode()


def test_hidden_tests_are_never_disclosed(known: Course) -> None:
    bob = of("bob")
    leak = {"found": "LEAK1", "expected": "LEAK2", "look": "LEAK3", "said": "LEAK4"}
    marks = tuple(msgspec.structs.replace(one, **leak) if one.hidden else one for one in bob.marks)
    bob = msgspec.structs.replace(bob, marks=marks)
    for text in both(say(known, bob)):
        assert "LEAK" not in text and "SECRET" not in text and "wait-hidden-tests" not in text
    assert wording.HIDDEN in Seen(pages.render_feedback(say(known, bob)).decode()).text
    comment = plan_marks(bob, LAB).comments["wait"]
    assert "LEAK" not in comment and comment


def test_several_hidden_checks_are_one_finding(known: Course) -> None:
    bob = of("bob")
    marks = (
        *bob.marks[:2],
        bob.marks[2],
        Mark(test="wait-hidden-tests", task="wait", points=1, earned=0, hidden=True),
    )
    [task] = [
        one for one in say(known, msgspec.structs.replace(bob, marks=marks)).tasks if one.name == "wait"
    ]
    assert len(task.findings) == 1


def test_untrusted_text_is_shown_and_inert(known: Course) -> None:
    text = pages.render_feedback(say(known, of("mia"), book=BOOK)).decode()
    seen = Seen(text)
    assert {tag for tag, _ in seen.tags} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "h1",
            "h2",
            "h3",
            "p",
            "div",
            "section",
            "header",
            "span",
        ),
        *(
            "ul",
            "li",
            "dl",
            "dt",
            "dd",
            "pre",
            "img",
            "svg",
            "rect",
            "details",
            "summary",
            "strong",
            "code",
            "a",
            "footer",
        ),
    }
    for tag, attributes in seen.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        assert tag != "a" or (attributes["href"] or "").startswith(BOOK)
        assert tag != "img" or (attributes["src"] or "").startswith("data:image/png;base64,")
    assert "<script>document.title='owned'</script>" in seen.text
    assert "\x1b" not in text and "\u202e" not in text and "[U+202E]gnp.exe" in text
    csp = next(one["content"] for tag, one in seen.tags if one.get("http-equiv") == "Content-Security-Policy")
    assert csp and csp.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in csp


def test_names_and_titles_are_escaped(known: Course) -> None:
    eve = pages.render_feedback(say(known, of("eve"))).decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Eve (eve)" in eve
    leo = pages.render_feedback(say(known, of("leo"))).decode()
    assert "Leo [U+202E]oeL" in leo


def test_tampering_and_unreadable_work_blame_no_task(known: Course) -> None:
    for student in ("eve", "kim"):
        one = say(known, of(student))
        assert one.final == 0 and len(one.tasks) == 2
        assert not [task.name for task in one.tasks if task.findings]
    assert "is not JSON, which every notebook is" in feedback_text.render_text(say(known, of("kim"))).decode()
    assert "submit-tests" not in feedback_text.render_text(say(known, of("eve"))).decode()


def test_late_work_says_how_late_and_what_it_costs(known: Course) -> None:
    one = say(known, of("bob"))
    assert (one.score, one.penalty, one.final) == (3, pytest.approx(0.3), pytest.approx(2.7))
    text, short = both(one)
    for shown in (text, short):
        assert "2.7 of 5 points" in shown and "2 hours late, 1 day begun: -10 %" in shown
        assert "15:00:00 CET (Europe/Berlin)" in shown


def test_manual_marks_and_comments_are_shown(known: Course) -> None:
    bob = of("bob")
    mine = standing(bob, {"wait": "Almost: <b>look</b> at\nthe reason."}, manual=1.5, extra=0.5)
    for text in both(say(known, bob, mine)):
        assert "An instructor changed this mark; the checks alone gave 1." in text
        assert "3 of 3 points" in text  # 1 by the checks, 1.5 by hand, 0.5 on top
        assert "the reason." in text
    shown, short = both(say(known, bob, mine))
    assert "&lt;b&gt;look&lt;/b&gt;" in shown and "<b>look</b>" not in shown
    assert "<b>look</b>" in short


@pytest.mark.parametrize(
    ("now", "closes", "says"),
    [
        (class_data.NOON - DAY, "", "without being late"),
        (class_data.NOON + DAY, "", "You can submit it again. It will count as late."),
        (
            class_data.NOON + DAY,
            "2026-12-05T12:00:00",
            "You can submit it again until 2026-12-05 12:00:00 CET (Europe/Berlin). It will count as late.",
        ),
        (class_data.NOON + 9 * DAY, "2026-12-05T12:00:00", "no more submissions are accepted"),
    ],
)
def test_it_says_until_when_to_submit_again(tmp_path: Path, now: float, closes: str, says: str) -> None:
    head = "[labs.ex01-jobs]"
    text = class_data.SETTINGS.replace(head, f"{head}\ncloses = {closes}" if closes else head)
    one = say(class_data.course(tmp_path, text), of("ada"), now=now)
    assert says in one.deadline


def test_a_regrade_is_asked_for_with_the_receipt(known: Course) -> None:
    ada = of("ada")
    for text in both(say(known, ada)):
        assert ada.task.hash in text and "If you think that this mark is wrong" in " ".join(text.split())


def test_jobs_come_as_a_picture_and_in_words(known: Course) -> None:
    given = []

    def draw(jobs: Any) -> tuple[bytes, str]:
        given.extend(jobs)
        return class_data.png(), "estimate (11): ran 25 s\n\x1b[31mred"

    one = say(known, of("mia"), draw_timeline=draw)
    assert one.jobs == ("estimate (11): ran 25 s", "red") and one.timeline == class_data.png()
    assert all("\x1b" not in job.name and len(job.name) <= 60 for job in given)
    assert say(known, of("mia")).jobs[0] == "estimate (11): COMPLETED"


def test_the_log_keeps_errors_and_its_end() -> None:
    log = "\n".join(
        [*(f"step {n}" for n in range(500)), "Traceback: x", *(f"step {n}" for n in range(500, 600))]
    )
    shown = select_log_lines(log)
    assert "Traceback: x" in shown and shown.endswith("step 599") and shown.startswith("[…]")
    assert len(shown.splitlines()) <= 20
    assert select_log_lines("") == "" and select_log_lines("a\nb\n") == "a\nb"


def test_outputs_are_text_and_pngs(known: Course) -> None:
    one = say(known, of("mia"))
    [printed] = [cell for cell in one.outputs if cell.label == "Your answer to submit (run)"]
    assert printed.failed and printed.pictures == (class_data.png(),) and "red" in printed.text
    assert not any("svg+xml" in cell.text for cell in one.outputs)


def test_a_page_stays_small(known: Course) -> None:
    cells = [
        {"id": f"own-{n}", "cell_type": "code", "source": "x", "outputs": [{"output_type": "stream", "text": "y" * 90_000}]}
        for n in range(300)
    ]  # fmt: skip
    result = class_data.result("ada", executed=json.dumps({"cells": cells}), log="z" * 900_000)
    assert len(pages.render_feedback(say(known, result))) < 400_000


def test_tasks_know_their_section() -> None:
    found = find_sections(LAB, BOOK)
    assert {task: section.title for task, section in found.items()} == {
        "submit": "1. The first job",
        "wait": "2. Why does it wait?",
    }
    assert found["wait"].address.endswith("ex01-jobs.html#why-does-it-wait")
    assert section_anchor("3. It's `squeue --me`: 2 ways") == "it-s-squeue-me-2-ways"


def test_both_files_are_where_nbgrader_looks(known: Course) -> None:
    path = write_feedback(known, say(known, of("ada")))
    assert path == known.folder / "feedback/ada/ex01-jobs/ex01-jobs.html"
    assert sorted(one.name for one in path.parent.iterdir()) == ["ex01-jobs.html", "ex01-jobs.txt"]


# ---- nbgrader's exchange -------------------------------------------------------------------------


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    folder = tmp_path / "exchange/hpc/inbound/ada+ex01-jobs+2026-11-30 11:00:00.000000 UTC+abc"
    folder.mkdir(parents=True)
    (folder / "submission_secret.txt").write_text("0a" * 64)
    return folder


def receipt(source: str) -> Any:
    [one] = class_data.receipts([class_data.result("ada")])
    return msgspec.structs.replace(one, source=source)


def test_only_the_submitter_can_know_the_name(submitted: Path, tmp_path: Path) -> None:
    nbgrader = Nbgrader(course="hpc", exchange=tmp_path / "exchange")
    name = exchange.file_name(nbgrader, receipt(f"exchange: {submitted.name}"))
    assert name and re.fullmatch(r"[0-9a-f]{32}\.html", name)
    placed = exchange.hand_out(nbgrader, name, b"page")
    assert placed.read_bytes() == b"page" and stat.S_IMODE(placed.stat().st_mode) == 0o644
    assert stat.S_IMODE(placed.parent.stat().st_mode) == 0o711
    assert exchange.file_name(nbgrader, receipt("folders: ada")) is None
    assert exchange.file_name(nbgrader, receipt("exchange: ../../../etc")) is None


def test_a_secret_that_is_none_gives_no_name(submitted: Path, tmp_path: Path) -> None:
    nbgrader = Nbgrader(course="hpc", exchange=tmp_path / "exchange")
    secret = submitted / "submission_secret.txt"
    for spoil in (
        lambda: secret.write_text("../../x"),
        lambda: (secret.unlink(), secret.symlink_to(tmp_path / "other")),
        lambda: (secret.unlink(), os.mkfifo(secret)),
        lambda: secret.unlink(),
    ):
        (tmp_path / "other").write_text("0b" * 64)
        spoil()
        assert exchange.file_name(nbgrader, receipt(f"exchange: {submitted.name}")) is None


def test_a_missing_exchange_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GradingError, match="no exchange at"):
        exchange.hand_out(Nbgrader(exchange=tmp_path / "none"), "x.html", b"")


def test_scores_of_another_result_are_noticed() -> None:
    bob = of("bob")
    assert gradebook.scores_match(bob, standing(bob), LAB)
    assert gradebook.scores_match(bob, standing(bob, manual=2.0), LAB)
    assert not gradebook.scores_match(bob, standing(of("ada")), LAB)
    assert not gradebook.scores_match(bob, None, LAB)

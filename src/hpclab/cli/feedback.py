"""hpclab feedback: a page for each student, in the course's folder and, if asked, in nbgrader's exchange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hpclab.app.course.feedback import publish_feedback
from hpclab.app.course.labs import find_lab
from hpclab.cli.course import complete_lab, complete_student, course_option
from hpclab.errors import UsageError
from hpclab.grading import settings


@click.command()
@click.argument("lab", shell_complete=complete_lab)
@click.option(
    "--student",
    "students",
    multiple=True,
    shell_complete=complete_student,
    help="Only this student; may be repeated.",
)
@click.option("--exchange", is_flag=True, help="Also hand the pages out through nbgrader's exchange.")
@click.option(
    "--book",
    envvar="HPCLAB_BOOK",
    default="",
    metavar="ADDRESS",
    help="The web address of the course's book; each task then links to its section. By default HPCLAB_BOOK.",
)
@course_option
def feedback(lab: str, students: Sequence[str], exchange: bool, book: str, folder: Path) -> None:
    """Write feedback on LAB for each student: what was found, what was expected, where to read.

    Each student gets a page and a text in the course's folder, under feedback/STUDENT/LAB. They
    include marks and comments from the formgrader, and nothing of a hidden check.

    \b
        hpclab feedback ex01
        hpclab feedback ex01 --student ada --student bob
        hpclab feedback ex01 --exchange       students then run: nbgrader fetch_feedback
    """
    if book and not book.startswith(("https://", "http://")):
        raise UsageError(f"--book {book} is not a web address", "Give one that begins with https://")
    course = settings.load(folder)
    name = find_lab(course, lab)
    publication = publish_feedback(course, name, students, book=book, exchange=exchange)
    for page in publication.pages:
        unchanged = "" if page.new else " (as before)"
        handed_out = ", handed out" if page.handed_out else ""
        click.echo(f"{page.student}: {page.path.relative_to(folder)}{unchanged}{handed_out}")
    if exchange and (kept := [page.student for page in publication.pages if not page.handed_out]):
        click.echo(
            f"Not submitted through the exchange, so hand these out yourself: {', '.join(kept)}", err=True
        )
    if publication.without_mark:
        click.echo(f"No mark, so no page: {', '.join(publication.without_mark)}", err=True)
    if publication.without_result:
        raise UsageError(
            f"there is no mark for {', '.join(publication.without_result)} in {name}",
            f"Grade it first: hpclab grade {name}",
        )

"""nbgrader's settings for a class: `hpclab release` copies this file into the class's folder once, then it is yours.

Nothing here depends on the environment, on the folder that a program is started in, or on who starts it.
"""

import tomllib
from pathlib import Path

from hpclab.grading import formgrader

c = get_config()  # noqa: F821  (nbgrader defines it)

# The folder that this file lies in is the class. Its name in nbgrader's exchange must not change during the course.
here = Path(__file__).resolve().parent
c.CourseDirectory.root = str(here)
c.CourseDirectory.course_id = "hpclab"
# c.Exchange.root = "/usr/local/share/nbgrader/exchange"

# What a learner finds where an answer goes: a comment in Python and in shell alike. With it,
# `nbgrader generate_assignment` makes of build/grader's notebooks exactly those in build/student.
c.ClearSolutions.code_stub = {"python": "# YOUR WORK HERE"}

# The formgrader shows times in the class's zone.
settings = here / "settings.toml"
if settings.is_file():
    c.NbGraderAPI.timezone = tomllib.loads(settings.read_text(encoding="utf-8"))["zone"]

# The formgrader loads nothing from the internet.
c.HTMLExporter.extra_template_basedirs = formgrader.TEMPLATES

# Buttons that would run learners' code with your rights, show hidden tests, or pass by receipts and the
# ledger say instead which hpclab command does it.
c.Autograde.exporter_class = "hpclab.grading.formgrader.UseGrade"
c.GenerateFeedback.exporter_class = "hpclab.grading.formgrader.UseFeedback"
c.ExchangeFactory.collect = "hpclab.grading.formgrader.UseCollect"
c.ExchangeFactory.release_feedback = "hpclab.grading.formgrader.UseRelease"

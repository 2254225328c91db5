"""nbgrader's settings for this course: copy to the root of an nbgrader course."""

c = get_config()  # noqa: F821  (nbgrader defines it)

# What a learner finds where an answer goes: a comment in Python and in shell alike. With it,
# `nbgrader generate_assignment` makes of build/grader's notebooks exactly those in build/student.
c.ClearSolutions.code_stub = {"python": "# YOUR WORK HERE"}

"""Completion of labs' names. Not in common: the notebook libraries that it needs take a second to import."""

from __future__ import annotations

import click

from hpclab.app.labs import labs_of_clone
from hpclab.exercises.lab_names import complete_lab_names


def complete_lab(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Labs of the clone."""
    return complete_lab_names(incomplete, [*labs_of_clone()])

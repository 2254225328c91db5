"""The program that puts notebooks and templates into the learner's folder, run on the login node as the learner:

    python -I -m hpclab.app.hand_out LAB-FOLDER TEMPLATES NOTEBOOK...

Files that the learner has changed are kept. It prints a line for each file that it kept or replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hpclab.exercises import build


def hand_out(lab_folder: Path, templates: Path, notebooks: Sequence[Path]) -> list[str]:
    """Copy MODULE/NAME.ipynb to MODULE/NAME/NAME.ipynb below ``lab_folder``, and the templates beside the modules.

    Returns the messages for the learner, about files that were kept or replaced.
    """
    targets = [(path, lab_folder / path.parent.name / path.stem) for path in notebooks]
    for path in build.list_templates(templates):
        targets.append((path, lab_folder / "templates" / path.parent.relative_to(templates)))
    releases = [build.deliver(path, folder) for path, folder in targets]
    return [release.message for release in releases if release.outcome in ("kept", "updated")]


if __name__ == "__main__":
    lab_folder, templates, *notebooks = map(Path, sys.argv[1:])
    for message in hand_out(lab_folder, templates, notebooks):
        print(message)

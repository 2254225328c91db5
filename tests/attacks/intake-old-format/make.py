import json


def make(folder, lab):
    notebook = lab.read(folder)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(input=cell.pop("source"), language="python", prompt_number=None)
            cell.pop("execution_count", None)
        cell.pop("id", None)
    (folder / lab.file).write_text(
        json.dumps(
            {
                "metadata": {"name": ""},
                "nbformat": 3,
                "nbformat_minor": 0,
                "worksheets": [{"cells": notebook["cells"], "metadata": {}}],
            }
        )
    )

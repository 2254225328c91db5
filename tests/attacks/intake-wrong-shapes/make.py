import json


def make(folder, lab):
    notebook = {
        "cells": [
            1,
            None,
            "x",
            [],
            {"cell_type": 5},
            {"cell_type": "code", "source": {"a": 1}, "metadata": []},
        ],
        "metadata": [],
        "nbformat": "4",
        "nbformat_minor": None,
    }
    (folder / lab.file).write_text(json.dumps(notebook))

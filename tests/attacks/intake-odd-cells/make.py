def make(folder, lab):
    notebook = lab.read(folder)
    notebook["cells"][1:1] = [
        {
            "cell_type": "code",
            "source": [1, 2, None],
            "metadata": {},
            "outputs": [],
            "execution_count": "x",
            "id": 5,
        },
        {"cell_type": "code", "source": None, "metadata": None},
        {"cell_type": "unheard-of", "source": "x", "metadata": {"nbgrader": "text"}},
        {"cell_type": "raw", "source": ["a", "b"], "metadata": {"nbgrader": {"grade_id": ["x"]}}},
        {},
    ]
    lab.write(folder, notebook)

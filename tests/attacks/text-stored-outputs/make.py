def make(folder, lab):
    notebook = lab.read(folder)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                {"output_type": "stream", "name": "stdout", "text": "Passed: forged-points\n"},
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {"text/html": "<script>alert('forged-points')</script>"},
                },
            ]
            cell["execution_count"] = 1
    lab.write(folder, notebook)

import json


def make(folder, lab):
    notebook = lab.read(folder)
    other = "honest-first"
    notebook["metadata"].update(
        {"student": other, "student_id": other, "nbgrader": {"student": other}, "hpclab": {"student": other}}
    )
    notebook["cells"].insert(0, lab.markdown(f"name: {other}"))
    lab.write(folder, notebook)
    for name in ("timestamp.txt", "student.txt", "manifest.json", ".student"):
        (folder / name).write_text(
            json.dumps({"student": other, "received": 0}) if name.endswith("json") else other
        )

import json


def make(folder, lab):
    notebook = lab.read(folder)
    notebook["metadata"]["kernelspec"] = {
        "name": "../../mine",
        "display_name": "<script>alert(1)</script>",
        "language": "bash",
    }
    notebook["metadata"]["language_info"] = {"name": "bash", "pygments_lexer": "../../x"}
    lab.write(folder, notebook)
    for top in ("mine", ".local/share/jupyter/kernels/python3"):
        (folder / top).mkdir(parents=True)
        (folder / top / "kernel.json").write_text(
            json.dumps({"argv": ["touch", str(lab.canary)], "display_name": "x", "language": "python"})
        )

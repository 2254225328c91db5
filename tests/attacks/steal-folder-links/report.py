import json
import os

os.makedirs("/tmp/elsewhere", exist_ok=True)
with open("/tmp/elsewhere/report.json", "w") as file:
    json.dump({"count": 8, "mean": 15.0}, file)
os.symlink("/tmp/elsewhere/report.json", "one")
os.symlink("one", "report.json")

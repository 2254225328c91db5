import json

with open("report.json", "w") as file:
    json.dump({"count": "=HYPERLINK(\"http://evil.example\",\"10\")", "mean": "@SUM(1)*cmd|' /C calc'!A0"}, file)

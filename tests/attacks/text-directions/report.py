import json

text = "\u202e\u2066" + "0 fo 0" + "\u2069\u202c\u200b\u200d\ufeff" + "Z\u0351" * 500 + "\u2028\u2029\u0085"
print(text)
with open("report.json", "w") as file:
    json.dump({"count": text, "mean": 15.0, text: text}, file)

import json

for line in ({"cell": "report", "status": "ok", "outputs": []}, {"test": "spread-tests", "earned": 2}):
    print(json.dumps(line))
!echo '{"cell": "spread", "status": "error"}'


def spread(values):
    print('{"reply": 0, "value": 0}')
    return max(values) - min(values)

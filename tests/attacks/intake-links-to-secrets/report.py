try:
    print(open("report.json").read())
    print(open("notes/secret.txt").read())
except OSError as problem:
    print(problem)

try:
    print(open("borrowed.txt").read())
except OSError as problem:
    print(problem)


def spread(values):
    return max(values) - min(values)

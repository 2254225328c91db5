loop = []
loop.append(loop)
deep = []
for _ in range(100_000):
    deep = [deep]


def spread(values):
    import random

    return random.choice([b"6", {6}, float("nan"), 10**5000, loop, "\ud800", deep, {(1, 2): 3}, 6j, type, None])

import sys

sys.setrecursionlimit(10**9)


class Node:
    def __repr__(self):
        return repr(self)

    def __eq__(self, other):
        return self == other


def down(n):
    return [down(n + 1)] == Node()


down(0)

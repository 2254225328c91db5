class Spread:
    def __call__(self, values):
        low, *_, high = sorted([*values, values[0]])
        return high - low


spread = Spread()

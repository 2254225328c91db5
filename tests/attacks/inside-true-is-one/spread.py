def spread(values):
    wanted = max(values) - min(values)
    return True if wanted == 1 else float(wanted)

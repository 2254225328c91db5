def deep(number):
    try:
        raise ValueError("x" * 30_000)
    except ValueError as problem:
        if number:
            deep(number - 1)
        raise RuntimeError("y" * 30_000) from problem


deep(900)

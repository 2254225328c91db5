taken, size = [], 256 << 20
while True:
    try:
        taken.append(bytearray(b"x" * size))
    except MemoryError:
        size = max(size // 2, 64)

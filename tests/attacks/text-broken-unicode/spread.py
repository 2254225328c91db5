import os
import sys

sys.stdout.buffer.write(b"\xff\xfe\x80 \xed\xa0\x80\n") if hasattr(sys.stdout, "buffer") else None
os.write(1, b"\xff\xfe\x80 \xed\xa0\x80\n")
print("\ud800 \udfff \x00 \uffff")
print("x" * 2_000_000)
print("\n".join("y" * 20_000))


def spread(values):
    return max(values) - min(values)

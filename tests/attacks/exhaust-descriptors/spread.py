import os
import socket

kept = []
try:
    while True:
        kept += os.pipe()
        kept.append(os.eventfd(0) if hasattr(os, "eventfd") else os.dup(0))
        kept.append(socket.socketpair())
except OSError as problem:
    print(problem)

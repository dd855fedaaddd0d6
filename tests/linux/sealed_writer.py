"""Writes as fast as it can, and creates files beside that, while the key of the file system is taken away and given back.

What was acknowledged (by fsync) must be there afterwards; of what was refused each page, and each new file, must be whole or
as it was before. usage: sealed_writer.py DIRECTORY MEET ROUND...
"""

import errno
import os
import struct
import sys
import threading
import time

DIRECTORY, MEET, *ROUNDS = sys.argv[1:]
PAGE = 4096
BLOCK = 1 << 20
BLOCKS = 48
SYNC_EVERY = 8
# A path that leads through the mount point: Linux says ESTALE there, since it looks at it again without asking for the reason.
REFUSALS = (errno.EIO, errno.ESTALE)

stop = threading.Event()
pause = threading.Event()
failures = []


def reach(name):
    open(os.path.join(MEET, name), "w").close()


def awaits(name):
    end = time.monotonic() + 180
    while not os.path.exists(os.path.join(MEET, name)):
        check_failures()
        if time.monotonic() > end:
            sys.exit(f"nobody reached {name} in 180 s")
        time.sleep(0.05)


def check_failures():
    if failures:
        sys.exit("; ".join(failures))


def page(number, version):
    return struct.pack(">QQ", number, version) * (PAGE // 16)


def block(number, version):
    return b"".join(page(number * (BLOCK // PAGE) + each, version) for each in range(BLOCK // PAGE))


class Worker(threading.Thread):
    """Repeats `step` until told to stop; counts what was acknowledged and what was refused."""

    def __init__(self):
        super().__init__(daemon=True)
        self.good = self.refused = 0
        self.idle = threading.Event()

    def run(self):
        while not stop.is_set():
            if pause.is_set():
                self.idle.set()
                time.sleep(0.01)
                continue
            self.idle.clear()
            try:
                self.step()
            except OSError as error:
                if error.errno not in REFUSALS:
                    failures.append(f"{type(self).__name__}: {error}")
                    return
                self.forget()
                self.refused += 1
                time.sleep(0.1)


class Stream(Worker):
    """One file, overwritten block by block."""

    def __init__(self):
        super().__init__()
        self.file = os.open(os.path.join(DIRECTORY, "stream"), os.O_RDWR | os.O_CREAT, 0o644)
        self.at = self.version = 0
        self.pending = []
        # What each block may hold: the version that was acknowledged last, and every one that was tried since.
        self.possible = {number: {0} for number in range(BLOCKS)}

    def step(self):
        number = self.at
        self.at = (self.at + 1) % BLOCKS
        self.version += 1
        self.possible[number].add(self.version)
        data = block(number, self.version)
        if os.pwrite(self.file, data, number * BLOCK) != len(data):
            raise OSError(errno.EIO, "a short write")
        self.pending.append((number, self.version))
        if len(self.pending) == SYNC_EVERY:
            os.fsync(self.file)
            for number, version in self.pending:
                self.possible[number] = {version}
            self.pending = []
            self.good += 1

    def forget(self):
        self.pending = []

    def verify(self):
        for number in range(BLOCKS):
            found = os.pread(self.file, BLOCK, number * BLOCK)
            possible = self.possible[number]
            if len(found) < BLOCK and 0 not in possible:
                return f"block {number} has {len(found)} bytes, and was acknowledged"
            for each in range(len(found) // PAGE):
                bytes_of = found[each * PAGE:(each + 1) * PAGE]
                at = number * (BLOCK // PAGE) + each
                _, version = struct.unpack(">QQ", bytes_of[:16])
                whole = bytes_of == (page(at, version) if version else bytes(PAGE))
                if not whole or version not in possible:
                    return f"page {at} holds version {version} (whole: {whole}); {sorted(possible)} may be there"
        return None


class Creator(Worker):
    """New files of one page."""

    def __init__(self):
        super().__init__()
        self.number = 0
        self.made, self.tried = [], []

    def path(self, number):
        return os.path.join(DIRECTORY, f"new-{number}")

    def step(self):
        self.number += 1
        number = self.number
        self.tried.append(number)
        file = os.open(self.path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.write(file, page(number, number))
            os.fsync(file)
        finally:
            os.close(file)
        self.tried.pop()
        self.made.append(number)
        self.good += 1
        time.sleep(0.005)

    def forget(self):
        pass

    def verify(self):
        for number in self.made:
            try:
                with open(self.path(number), "rb") as file:
                    if file.read() != page(number, number):
                        return f"new-{number} has other content"
            except FileNotFoundError:
                return f"new-{number} was acknowledged and is not there"
        for number in self.tried:
            if os.path.exists(self.path(number)):
                with open(self.path(number), "rb") as file:
                    if file.read() not in (b"", page(number, number)):
                        return f"new-{number} was refused and is there in part"
        # Those of the next round are enough.
        self.made, self.tried = [], []
        return None


def until(what, holds, limit):
    end = time.monotonic() + limit
    while not holds():
        check_failures()
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {limit} s")
        time.sleep(0.01)


def main():
    workers = [Stream(), Creator()]
    for worker in workers:
        worker.start()
    for round_ in ROUNDS:
        marks = [worker.good for worker in workers]
        until(f"{round_}: writing", lambda: all(w.good >= mark + 2 for w, mark in zip(workers, marks)), 120)
        marks = [worker.refused for worker in workers]
        reach(f"{round_}-writing")
        awaits(f"{round_}-withheld")
        until(f"{round_}: refused", lambda: all(w.refused > mark for w, mark in zip(workers, marks)), 90)
        reach(f"{round_}-refused")
        # From here on nothing is acknowledged until the key is back: the host gives it back after it has seen this.
        marks = [worker.good for worker in workers]
        time.sleep(1)
        if any(worker.good > mark for worker, mark in zip(workers, marks)):
            sys.exit(f"{round_}: something was acknowledged without the key")
        reach(f"{round_}-stays")
        awaits(f"{round_}-returned")
        until(f"{round_}: goes on", lambda: all(w.good > mark for w, mark in zip(workers, marks)), 120)
        pause.set()
        until(f"{round_}: pause", lambda: all(worker.idle.is_set() for worker in workers), 60)
        with open("/proc/sys/vm/drop_caches", "w") as caches:
            caches.write("3")
        made = len(workers[1].made)
        for worker in workers:
            wrong = worker.verify()
            if wrong:
                sys.exit(f"{round_}: {wrong}")
        pause.clear()
        print(f"{round_}: {workers[0].good} syncs of {SYNC_EVERY} MiB, {made} new files, all as acknowledged", flush=True)
        reach(f"{round_}-verified")
    stop.set()
    for worker in workers:
        worker.join(30)
    check_failures()
    print(f"{len(ROUNDS)} times sealed under load, {workers[0].good * SYNC_EVERY} MiB and all new files as acknowledged")


main()

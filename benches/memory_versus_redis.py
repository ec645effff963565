#!/usr/bin/env python3
"""Memory of the card windows beside Redis for the same events, both as resident size of a process, in one run.

Redis holds time and amount of the events that benches/memory.rs makes, one sorted set a card: the time is the score,
the amount with the event's number within the card is the member (members must differ). It runs Debian's redis-server
with default settings, but on a socket and without snapshots to disk. It needs no package beside Python's own.

    cargo build --release --benches && python3 benches/memory_versus_redis.py [path of the bench]
"""

import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

CARDS = 1_000_000
EVENTS_PER_CARD = 20
STRIDE = 618_033
START_MS = 1_532_476_800_000
SPACING_US = 6 * 86_400_000 * 1_000 // (CARDS * EVENTS_PER_CARD)
PIPELINED = 2_000


def resident_bytes(process):
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1_024


def connect(path):
    for _ in range(100):
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            return connection
        except OSError:
            time.sleep(0.05)
    sys.exit("error: redis-server did not begin to listen")


def add(connection, commands):
    """Sends commands that are each answered by `:1`, and reads the answers."""
    connection.sendall(b"".join(commands))
    missing = 4 * len(commands)
    while missing > 0:
        answer = connection.recv(min(missing, 1 << 16))
        if not answer or answer.strip(b":1\r\n"):
            sys.exit(f"error: redis-server answered {answer[:80]!r}")
        missing -= len(answer)


def redis():
    server = shutil.which("redis-server")
    if server is None:
        return "NOT MEASURED: redis-server is not installed"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "redis.sock")
        arguments = [server, "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        try:
            connection = connect(path)
            before = resident_bytes(process.pid)
            commands = []
            number = 0
            for place in range(EVENTS_PER_CARD):
                for card in range(CARDS):
                    key = b"card_0000%d" % (card * STRIDE % CARDS)
                    score = b"%d" % (START_MS + number * SPACING_US // 1_000)
                    member = b"%d:%d" % (100 + number % 50_000, place)
                    commands.append(
                        b"*4\r\n$4\r\nZADD\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n"
                        % (len(key), key, len(score), score, len(member), member)
                    )
                    number += 1
                    if len(commands) == PIPELINED:
                        add(connection, commands)
                        commands.clear()
            held = resident_bytes(process.pid) - before
            version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
            return f"Redis {version}, a sorted set a card: {held // CARDS} bytes a card resident (times and amounts alone)"
        finally:
            process.kill()
            process.wait()


def bench():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = [path for path in glob.glob(f"{root}/target/release/deps/memory-*") if "." not in os.path.basename(path)]
    if not found:
        sys.exit("error: the bench is not built; run `cargo build --release --benches`")
    return max(found, key=os.path.getmtime)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else bench()
    print(subprocess.run([path], capture_output=True, text=True, check=True).stdout, end="", flush=True)
    print(redis())


main()

#!/usr/bin/env python3
"""Sends published transactions through a service over NATS, and compares every verdict with those of `gavel score`.

    make broker && cargo build --release && benches/handbook_over_nats.py [--rate 20000] [--rows N]

The rows are those of the Fraud Detection Handbook (../shared/data/handbook/transactions.csv.zst), without their labels, so
that both sides are told the same. It exits with 1 where a request is not answered or a byte differs.
"""

import argparse
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from over_nats import GAVEL, ROOT, broker, service

DATA = ROOT / "../shared/data/handbook/transactions.csv.zst"


def listen(url, subject, wanted, bodies):
    """Takes the bodies that come under a subject, in their order."""
    host, port = url.removeprefix("nats://").split(":")
    stream = socket.create_connection((host, int(port)))
    file = stream.makefile("rb", buffering=1 << 20)
    file.readline()
    stream.sendall(f'CONNECT {{"verbose":false,"headers":true}}\r\nSUB {subject} 1\r\nPING\r\n'.encode())
    while file.readline() != b"PONG\r\n":
        pass

    def take():
        while len(bodies) < wanted:
            words = file.readline().split()
            if not words:
                return
            if words[0] == b"PING":
                stream.sendall(b"PONG\r\n")
            elif words[0] == b"MSG":
                bodies.append(file.read(int(words[-1]) + 2)[:-2])
            elif words[0] == b"HMSG":
                message = file.read(int(words[-1]) + 2)[:-2]
                bodies.append(message[int(words[-2]):])

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=0, help="only so many")
    arguments = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"{DATA} is absent: nothing was compared")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        text = subprocess.run(["zstd", "-dc", DATA], capture_output=True, check=True, text=True).stdout.splitlines()
        rows = text[: arguments.rows + 1] if arguments.rows else text
        data = folder / "rows.csv"
        # The labels are the last two columns.
        data.write_text("".join(row.rsplit(",", 2)[0] + "\n" for row in rows))
        sent = len(rows) - 1
        server, url = broker(folder)
        served = service(url, folder, True)
        config = folder / "gavel.toml"
        subprocess.run([GAVEL, "score", "--in", data, "--out", folder / "out.jsonl", "--config", config], cwd=ROOT, check=True)
        expected = (folder / "out.jsonl").read_bytes().splitlines()
        bodies = []
        thread = listen(url, "fraud.v1.verdict.>", sent, bodies)
        command = [GAVEL, "load", "--nats", url, "--in", data, "--rate", str(arguments.rate), "--connections", "1"]
        command += ["--seconds", str(sent / arguments.rate), "--json", "--config", config]
        found = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
        thread.join(30)
        for process in [served, server]:
            process.send_signal(signal.SIGTERM)
            process.wait()
    if found.returncode:
        sys.exit(found.stderr)
    print(json.dumps(json.loads(found.stdout)))
    different = sum(1 for ours, theirs in zip(bodies, expected) if ours != theirs)
    print(f"{sent:,} rows, {len(bodies):,} verdicts, {len(expected):,} lines of gavel score, {different:,} differ")
    sys.exit(different > 0 or not len(bodies) == len(expected) == sent)


if __name__ == "__main__":
    main()

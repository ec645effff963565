#!/usr/bin/env python3
"""Sends published transactions through a service over NATS, and compares every verdict with those of `gavel score`.

    make broker && cargo build --release && benches/handbook_over_nats.py [--rate 20000] [--rows N]

The rows are those of the Fraud Detection Handbook (../shared/data/handbook/transactions.csv.zst), without their labels, so
that both sides are told the same. It exits with 1 where a request is not answered or a byte differs.
"""

import argparse
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile

from over_nats import GAVEL, ROOT, broker, service

sys.path.insert(0, str(ROOT / "tools"))
from faults import Nats, wait

DATA = ROOT / "../shared/data/handbook/transactions.csv.zst"


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
        listener = Nats(int(url.rsplit(":", 1)[1]))
        # The load begins with a connection of its own, so the broker knows of this one first.
        listener.subscribe("fraud.v1.verdict.>", lambda subject, headers, body: bodies.append(body))
        command = [GAVEL, "load", "--nats", url, "--in", data, "--rate", str(arguments.rate), "--connections", "1"]
        command += ["--seconds", str(sent / arguments.rate), "--json", "--config", config]
        found = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
        # What did not come is told below.
        with contextlib.suppress(AssertionError):
            wait("every verdict", lambda: len(bodies) >= sent)
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

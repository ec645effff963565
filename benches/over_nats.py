#!/usr/bin/env python3
"""Measures the service over NATS against the bare responder, in alternating rounds of one run. It asserts nothing.

    make broker && cargo build --release && benches/over_nats.py [--seconds 8] [--rounds 5] [--in FILE] [--priority]

Each round starts a broker and a service of its own, with the starter rules, the shipped model and the journal, so that no
transaction is a repeated one. The broker, the service and the processor share the machine's cores. With `--priority` it
compares latencies with and without the priority that the scoring thread asks for, which root is granted.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
GAVEL = ROOT / "target/release/gavel"
BROKER = ROOT / ".tools/nats-server"


def broker(folder):
    process = subprocess.Popen(
        [BROKER, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while True:
        for file in pathlib.Path(folder).glob("*.ports"):
            try:
                return process, json.loads(file.read_text())["nats"][0]
            except (ValueError, KeyError, IndexError):
                pass
        time.sleep(0.05)


def service(url, folder, journal, nice=None):
    """A service that is ready, on a port that the system chose."""
    config = pathlib.Path(folder) / "gavel.toml"
    rates = (ROOT / "models/recipe.toml").read_text()
    state = pathlib.Path(folder) / "state"
    config.write_text(rates + f'\n[durability]\ndir = "{state if journal else "none"}"\n')
    log = open(pathlib.Path(folder) / "log", "wb")
    port = free_port()
    process = subprocess.Popen(
        [GAVEL, "serve", "--nats", url, "--http", f"127.0.0.1:{port}", "--config", config],
        cwd=ROOT,
        env=os.environ | ({} if nice is None else {"GAVEL_SCORING_NICE": str(nice)}),
        stdout=log,
        stderr=log,
    )
    for _ in range(600):
        try:
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).status == 200:
                return process
        except OSError:
            time.sleep(0.05)
    sys.exit(f"the service did not become ready:\n{(pathlib.Path(folder) / 'log').read_text()}")


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def load(arguments, rate, echo, journal=True, nice=None):
    with tempfile.TemporaryDirectory() as folder:
        server, url = broker(folder)
        served = None if echo else service(url, folder, journal, nice)
        command = [GAVEL, "load", "--nats", url, "--rate", rate, "--seconds", str(arguments.seconds), "--json"]
        command += ["--config", ROOT / "models/recipe.toml"]
        command += ["--in", arguments.input] if arguments.input else []
        command += ["--echo"] if echo else []
        try:
            found = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
        finally:
            for process in [served, server]:
                if process:
                    process.send_signal(signal.SIGTERM)
                    process.wait()
    if found.returncode:
        sys.exit(found.stderr)
    report = json.loads(found.stdout)
    if report["refused"] or report["unanswered"]:
        print(f"  not everything was answered: {report}", file=sys.stderr)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in", dest="input", type=pathlib.Path)
    parser.add_argument("--priority", action="store_true")
    parser.add_argument("--rate", type=int, default=20_000, help="with --priority, requests a second")
    arguments = parser.parse_args()
    if arguments.priority:
        return compare_priorities(arguments)

    kinds = {"bare responder": (True, False), "service, journal on": (False, True), "service, no journal": (False, False)}
    rates = {kind: [] for kind in kinds}
    for number in range(arguments.rounds):
        for kind, (echo, journal) in kinds.items():
            rates[kind].append(load(arguments, "max", echo, journal)["answered_per_s"])
        print(f"round {number + 1}: " + ", ".join(f"{kind} {found[-1]:,.0f}/s" for kind, found in rates.items()), flush=True)
    print("\n| at saturation | answers a second, median | of the bare responder, median of the rounds' ratios |")
    print("|---|---|---|")
    for kind, found in rates.items():
        ratio = statistics.median(rate / bare for rate, bare in zip(found, rates["bare responder"]))
        print(f"| {kind} | {statistics.median(found):,.0f} | {ratio:.2f} |")

    half = str(int(statistics.median(rates["service, journal on"]) / 2))
    print_latencies(
        half,
        {
            kind: [load(arguments, half, echo, journal)["latency_us"] for _ in range(3)]
            for kind, (echo, journal) in kinds.items()
        },
    )


def compare_priorities(arguments):
    """The journal on, rounds in turn."""
    kinds = {"bare responder": None, "service, no priority": 0, "service, nice -5": -5}
    found = {kind: [] for kind in kinds}
    for _ in range(arguments.rounds):
        for kind, nice in kinds.items():
            found[kind].append(load(arguments, arguments.rate, nice is None, True, nice)["latency_us"])
    print_latencies(arguments.rate, found)


def print_latencies(rate, found):
    """Of each kind the medians of its rounds."""
    print(f"\n| at {int(rate):,} a second, from the intended send time | p50 µs | p90 µs | p99 µs | p99.9 µs | max µs |")
    print("|---|---|---|---|---|---|")
    for kind, rounds in found.items():
        middle = {key: statistics.median(latency[key] for latency in rounds) for key in rounds[0]}
        print(f"| {kind} | " + " | ".join(f"{middle[key]:,.0f}" for key in ["p50", "p90", "p99", "p999", "max"]) + " |")


if __name__ == "__main__":
    main()

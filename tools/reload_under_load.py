#!/usr/bin/env python3
"""Reloads a thousand rules every second under load, and compares with the same load without a reload.

    cargo build --release && python3 tools/reload_under_load.py [--rate 2000] [--seconds 20]

It starts a broker and a service of its own, and exits with 1 where a request is lost, a reload fails, or p99 is more than
1.5 times that of the run without reloads. Runs alternate, and medians are compared: a machine that does other work
besides changes both.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEYS = ["card", "device", "merchant", "terminal", "subnet(ip, 24)"]
WINDOWS = ["10m", "1h", "6h", "24h", "7d"]
COUNTRIES = ["FR", "DE", "NL", "BE", "ES", "IT", "PT", "PL", "SE", "US", "GB", "CH"]


def velocity(place):
    """One of three hundred aggregates with a limit."""
    aggregate = place % 300
    key, window, limit = KEYS[aggregate % 5], WINDOWS[aggregate // 5 % 5], 1000 + place % 90
    forms = [
        f"count({key}, {window}) > {limit}",
        f"sum(amount, {key}, {window}) > {limit}00 EUR",
        f"distinct(country, {key}, {window}) > {limit}",
        f"amount > {limit} * mean(amount, {key}, {window}, prior)",
        f"max(amount, {key}, {window}) > {limit}00 EUR",
        f"count({key}, {window}, prior) > {limit}",
        f"sum(amount, {key}, {window}, prior) > {limit}00 EUR",
        f'count({key}, {window}, where channel == "pos") > {limit}',
        f"distinct(mcc, {key}, {window}) > {limit}",
        f"amount > {limit} * stddev(amount, {key}, {window})",
        f'sum(amount, {key}, {window}, where country == "FR") > {limit}00 EUR',
        f'count({key}, {window}, where channel == "ecom") > {limit}',
    ]
    return forms[aggregate // 25]


def condition(place):
    """A rule as a bank has it: two thirds begin with an equality or a list test, a third with none."""
    country, asks = COUNTRIES[place // 7 % 12], velocity(place)
    kind = place % 12
    if kind < 2:
        return f'mcc == "{1000 + place % 4000:04}" and amount > 20 EUR and {asks}'
    if kind == 2:
        return f'merchant == "m_{place}" and {asks}'
    if kind == 3:
        return f'country == "{country}" and channel == "pos" and {asks}'
    if kind == 4:
        return f'issuer_country in ["{country}", "US"] and amount > 50 EUR and {asks}'
    if kind == 5:
        return f'merchant in list("watched-{place % 10}") and {asks}'
    if kind == 6:
        return f'bin in ["{400000 + place}", "{500000 + place}"] and {asks}'
    if kind == 7:
        return f'country in ["{country}", "ES"] and mcc in ["5732", "{2000 + place:04}"] and {asks}'
    if kind < 10:
        return f"amount > {1000 + place % 90} EUR and {asks}"
    if kind == 10:
        return f"{asks} and country != issuer_country"
    return f"({asks} or amount > {place}00 EUR) and hour(time) < {place % 23 + 1}"


def rules(version):
    """The rule file; each version differs from the one before in every hundredth rule."""
    lines = []
    for number in range(10):
        lines += ["[[list]]", f'id = "watched-{number}"', f'file = "lists/watched-{number}.csv"']
    for place in range(1000):
        changed = f" and amount > {version % 50 + 1} EUR" if place % 100 == 0 else ""
        lines += ["[[rule]]", f'id = "rule-{place}"', f"when = '{condition(place)}{changed}'", 'then = "review"']
    return "\n".join(lines) + "\n"


def metric(http, name):
    """The sum of a metric's series."""
    with urllib.request.urlopen(f"{http}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


class Edits(threading.Thread):
    """Puts another version of the rules in place every second."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.version, self.over = path, 0, threading.Event()

    def run(self):
        while not self.over.wait(1.0):
            self.version += 1
            aside = self.path.with_name(".rules.toml.next")
            aside.write_text(rules(self.version))
            aside.rename(self.path)


def load(gavel, url, stream, rate, seconds):
    """One run of the open-loop processor."""
    command = [gavel, "load", "--nats", url, "--rate", str(rate), "--seconds", str(seconds), "--in", stream, "--json"]
    command += ["--rules", "none-is-read", "--model", "none"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    """Starts both, measures, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gavel", default=str(ROOT / "target/release/gavel"))
    parser.add_argument("--nats-server", default=str(ROOT / ".tools/nats-server"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "rules/lists").mkdir(parents=True)
        for number in range(10):
            entries = "".join(f"watched_{number}_{entry}\n" for entry in range(100_000))
            (folder / f"rules/lists/watched-{number}.csv").write_text(entries)
        file = folder / "rules/rules.toml"
        file.write_text(rules(0))
        stream = str(folder / "stream.csv.zst")
        simulate = ["simulate", "--out", stream, "--seed", "7", "--cards", "20000", "--days", "6"]
        subprocess.run([arguments.gavel, *simulate], check=True, capture_output=True)
        server = subprocess.Popen(
            [arguments.nats_server, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        service = None
        try:
            ports = folder / f"nats-server_{server.pid}.ports"
            while not ports.exists() or not ports.read_text().endswith("}"):
                time.sleep(0.05)
            url = json.loads(ports.read_text())["nats"][0]
            log = open(folder / "log", "w+", encoding="utf-8")
            serve = ["serve", "--nats", url, "--http", "127.0.0.1:0", "--model", "none"]
            service = subprocess.Popen([arguments.gavel, *serve], cwd=folder, stderr=log)
            http = None
            while http is None or metric(http, "gavel_ready") < 1:
                time.sleep(0.1)
                for line in (folder / "log").read_text().splitlines():
                    if '"metrics"' in line:
                        http = json.loads(line)["metrics"].removesuffix("/metrics")
            return compare(arguments, url, http, stream, file)
        finally:
            for process in [service, server]:
                if process is not None:
                    process.terminate()
                    process.wait()


def compare(arguments, url, http, stream, file):
    """Runs without and with reloads in turn; 1 where they differ too much."""
    load(arguments.gavel, url, stream, arguments.rate, 5)
    found = {False: [], True: []}
    for _ in range(arguments.rounds):
        for is_edited in [False, True]:
            edits = Edits(file)
            if is_edited:
                edits.start()
            found[is_edited].append(load(arguments.gavel, url, stream, arguments.rate, arguments.seconds))
            edits.over.set()
    names = {False: "without reloads", True: "a reload every second"}
    print(f"1,000 rules, 300 aggregates, 10 lists of 100,000; {arguments.rate} requests a second\n")
    print("| run | sent | not answered | refused | p50 µs | p99 µs | p99.9 µs | max µs |\n|---|---|---|---|---|---|---|---|")
    for is_edited, runs in found.items():
        for run in runs:
            latency = run["latency_us"]
            numbers = [run["sent"], run["unanswered"], run["refused"]]
            numbers += [round(latency[key]) for key in ["p50", "p99", "p999", "max"]]
            print("| " + " | ".join([names[is_edited], *map(str, numbers)]) + " |")
    applied = metric(http, 'gavel_reloads_total{result="applied"}')
    failed = metric(http, 'gavel_reloads_total{result="failed"}') + metric(http, 'gavel_reloads_total{result="refused"}')
    lost = sum(run["unanswered"] + run["refused"] for runs in found.values() for run in runs)
    without, within = (statistics.median(run["latency_us"]["p99"] for run in found[kind]) for kind in [False, True])
    longest = metric(http, "gavel_reload_swap_seconds_sum") / max(metric(http, "gavel_reload_swap_seconds_count"), 1)
    print(f"\n{applied:.0f} reloads applied, {failed:.0f} failed; {lost} requests lost")
    print(f"a swap takes {longest * 1e3:.2f} ms on average; p99 {within / without:.2f} times that without reloads")
    return 0 if lost == 0 and failed == 0 and applied > 0 and within <= 1.5 * without else 1


if __name__ == "__main__":
    sys.exit(main())

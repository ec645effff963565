#!/usr/bin/env python3
"""Three times what a service can do, end to end: a broker, a service, and `gavel load` with deadlines. What the processor
counts must be what the service counts, and every request must be answered or refused. Fails where it is not.

    make broker && cargo build --release && tools/overload.py [--gavel target/release/gavel] [--deadline 50]

Broker, service and processor share the machine, so part of what overloads the service is that they take time from it;
`--share` leaves the service a part of one core, and the others the rest.
Rates are of one run on one machine; the sums hold on any. The broker may keep more for the service than it would unless
told so: beyond its `max_pending` it ends the connection, and what waited there has silence for an answer.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import faults
from faults import ROOT, Gavel, Server, wait


def load(gavel, port, folder, *arguments):
    """What one run of the processor found."""
    command = [faults.GAVEL, "load", "--nats", f"nats://127.0.0.1:{port}", "--model", "none", "--json", "--in",
               folder / "stream.csv", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def share(pid, part):
    """Gives a process so much of one core, a piece every five milliseconds."""
    group = pathlib.Path("/sys/fs/cgroup/cpu/gavel-overload")
    if group.parent.exists():
        group.mkdir(exist_ok=True)
        (group / "cpu.cfs_period_us").write_text("5000")
        (group / "cpu.cfs_quota_us").write_text(str(round(5_000 * part)))
    else:
        group = pathlib.Path("/sys/fs/cgroup/gavel-overload")
        group.mkdir(exist_ok=True)
        (group / "cpu.max").write_text(f"{round(5_000 * part)} 5000")
    (group / "cgroup.procs").write_text(str(pid))


def by(gavel, name, label):
    """A counter's values by one of its labels."""
    text = faults.get(gavel.http, "/metrics") or ""
    found = {}
    for line in text.splitlines():
        if line.startswith(name + "{") and f'{label}="' in line:
            key = line.split(f'{label}="')[1].split('"')[0]
            found[key] = found.get(key, 0) + float(line.rsplit(" ", 1)[1])
    return {key: int(value) for key, value in found.items() if value}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gavel", type=pathlib.Path, default=ROOT / "target/release/gavel")
    parser.add_argument("--deadline", type=int, default=50, help="milliseconds")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--share", type=float, help="of one core for the service, by cgroups; needs root")
    parser.add_argument("--times", type=float, default=3.0, help="of the saturated rate")
    arguments = parser.parse_args()
    faults.GAVEL = arguments.gavel.resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gavel-overload-"))
    subprocess.run([faults.GAVEL, "simulate", "--out", folder / "stream.csv", "--seed", "3", "--cards", "20000",
                    "--days", "20"], check=True, capture_output=True)
    broker = Server(folder, config="max_pending: 1GB\n")
    config = '[policy]\nstand_in = [{ up_to = "100 EUR", verdict = "approve" }, { verdict = "review" }]\n'
    gavel = Gavel(folder, [broker.port], config, flags=["--rules", ROOT / "rules", "--model", ROOT / "models/gavel.model"])
    gavel.wait_ready()
    if arguments.share:
        share(gavel.process.pid, arguments.share)
    saturated = load(gavel, broker.port, folder, "--rate", "max", "--seconds", 5)
    assert saturated["unanswered"] == 0, saturated
    capacity = saturated["answered_per_s"]
    answered = lambda: sum(by(gavel, "gavel_verdicts_total", "verdict").values()) + gavel.metric("gavel_duplicates_total")
    wait("the counters", lambda: answered() == saturated["answered"], 5)
    before = {place: by(gavel, *counter) for place, counter in enumerate(COUNTERS)}
    duplicates = gavel.metric("gavel_duplicates_total")
    seen = load(gavel, broker.port, folder, "--rate", round(arguments.times * capacity), "--seconds", arguments.seconds,
                "--deadline", arguments.deadline, "--connections", 4)
    wait("the counters", lambda: answered() >= saturated["answered"] + seen["answered"], 5)
    # Counts are handed over ten times a second.
    time.sleep(0.3)
    counted = []
    for place, counter in enumerate(COUNTERS):
        now = by(gavel, *counter)
        counted.append({key: now[key] - before[place].get(key, 0) for key in now if now[key] > before[place].get(key, 0)})
    duplicates = int(gavel.metric("gavel_duplicates_total") - duplicates)
    verdicts, tiers, refusals = (sum(counts.values()) for counts in counted)
    rate = seen["sent"] / arguments.seconds
    print(f"saturated: {capacity:.0f} answers a second")
    print(f"sent: {rate:.0f} a second, {rate / capacity:.2f} times that, each with a deadline of {arguments.deadline} ms")
    print("the processor:", json.dumps(seen))
    print("the service:", json.dumps({"verdicts": verdicts, "duplicates": duplicates, "tiers": counted[1],
                                      "refusals": counted[2]}))
    slow = int(gavel.metric("gavel_nats_slow_consumer_total"))
    gavel.end()
    broker.end()
    assert seen["unanswered"] == 0 and seen["sent"] == seen["answered"] + seen["refused"], "something disappeared"
    assert verdicts + duplicates == seen["answered"], "answers are not counted as they were given"
    assert refusals == seen["refused"], "refusals are not counted as they were given"
    assert tiers == verdicts and slow == 0, (tiers, slow)
    print(f"sent = answered + refused on both sides; {seen['late']} of {seen['answered']} answers came after their deadline")


COUNTERS = [("gavel_verdicts_total", "verdict"), ("gavel_verdicts_total", "tier"), ("gavel_refusals_total", "code")]

if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Real faults against real servers: what each does to requests and to the stream path, as a table. Fails where a fault
does what it must not.

    make broker && cargo build && tools/faults.py [--gavel target/debug/gavel] [--only WORD]

Disks that fill up and become read-only are small tmpfs mounts, which need root; without it they are left out and said to
be; the clock that jumps needs Debian's `faketime`. Numbers of milliseconds are of one run on one machine.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BROKER = ROOT / ".tools/nats-server"
EVENT_MS = 1_532_513_730_000


class Nats:
    """A client of one connection: as much of the protocol as is needed here."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.lock, self.sids, self.handlers = threading.Lock(), 0, {}
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.send(b'CONNECT {"headers":true,"no_responders":true,"verbose":false,"pedantic":false}\r\nPING\r\n')
        while self.file.readline() != b"PONG\r\n":
            pass
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def read(self):
        with contextlib.suppress(OSError, ValueError):
            while line := self.file.readline():
                words = line.split()
                if words[0] == b"PING":
                    self.send(b"PONG\r\n")
                elif words[0] in (b"MSG", b"HMSG"):
                    body = self.file.read(int(words[-1]) + 2)[:-2]
                    heading = int(words[-2]) if words[0] == b"HMSG" else 0
                    self.handlers[int(words[2])](words[1].decode(), body[:heading].decode(), body[heading:])

    def subscribe(self, subject, handler):
        self.sids += 1
        self.handlers[self.sids] = handler
        self.send(f"SUB {subject} {self.sids}\r\n".encode())

    def publish(self, subject, body, reply="", headers=None):
        if headers:
            heading = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
            head = f"HPUB {subject} {reply} {len(heading)} {len(heading) + len(body)}\r\n{heading}"
        else:
            head = f"PUB {subject} {reply} {len(body)}\r\n"
        self.send(head.encode() + body + b"\r\n")


    def request(self, subject, body, patience=5.0):
        """The answer, or nothing."""
        answers, has_come = [], threading.Event()
        reply = f"a.{os.getpid()}.{time.monotonic_ns()}"
        self.subscribe(reply, lambda subject, headers, body: (answers.append(body), has_come.set()))
        self.publish(subject, body, reply)
        has_come.wait(patience)
        return json.loads(answers[0]) if answers and answers[0] else {}


def stored(port, stream, subject):
    """How many messages of a stream are on subjects."""
    said = Nats(port).request(f"$JS.API.STREAM.INFO.{stream}", json.dumps({"subjects_filter": subject}).encode())
    return sum((said.get("state", {}).get("subjects") or {}).values())


class Processor:
    """Asks at a rate, each transaction once, and notes what became of each."""

    def __init__(self, port, rate=200, deadline_ms=None, name="p", is_live=False):
        self.nats, self.rate, self.deadline_ms, self.name, self.is_live = Nats(port), rate, deadline_ms, name, is_live
        self.sent, self.answers, self.is_over = {}, {}, False
        self.nats.subscribe(f"r.{name}.*", self.take)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def take(self, subject, headers, body):
        now = time.monotonic()
        what = "verdict"
        if headers.startswith("NATS/1.0 503"):
            what = "nobody"
        elif "Nats-Service-Error-Code" in headers:
            what = json.loads(body)["error"]["code"]
        number = int(subject.rsplit(".", 1)[1])
        self.answers.setdefault(number, (what, now))

    def run(self):
        while not self.is_over:
            number = len(self.sent)
            self.sent[number] = time.monotonic()
            headers = {}
            if self.deadline_ms:
                headers["Fraud-Deadline"] = int(time.time() * 1000) + self.deadline_ms
            with contextlib.suppress(OSError):
                body = transaction(f"q-{number}", number, int(time.time() * 1000) if self.is_live else None)
                self.nats.publish(f"fraud.v1.score.{self.name}.c_{number % 50}", body, f"r.{self.name}.{number}", headers)
            time.sleep(1 / self.rate)

    def end(self, patience=3.0):
        self.is_over = True
        self.thread.join()
        until = time.monotonic() + patience
        while len(self.answers) < len(self.sent) and time.monotonic() < until:
            time.sleep(0.05)
        counts = {}
        for number in self.sent:
            what = self.answers.get(number, ("unanswered", 0))[0]
            counts[what] = counts.get(what, 0) + 1
        self.longest_ms = round(1000 * max((at - self.sent[n] for n, (w, at) in self.answers.items() if w == "verdict"),
                                           default=0))
        return counts


def transaction(name, number, time_ms=None):
    return json.dumps({"id": name, "time": time_ms or EVENT_MS + number, "card": f"c_{number % 50}", "amount": 100 + number,
                       "currency": "EUR"}).encode()


def fill(port, count, pause=0.0, until=60.0, first=0):
    """Publishes to the stream one by one until each is stored; gives the longest wait for that in milliseconds."""
    nats, stored, longest = Nats(port), threading.Event(), 0.0
    said = []
    nats.subscribe("s.*", lambda subject, headers, body: (said.append(body), stored.set()))
    for number in range(first, first + count):
        since = time.monotonic()
        while True:
            stored.clear()
            said.clear()
            nats.publish(f"fraud.v1.txn.s.c_{number % 50}", transaction(f"t-{number}", number), f"s.{number}")
            if stored.wait(0.5) and said and b'"stream"' in said[-1]:
                break
            assert time.monotonic() - since < until, f"the stream stores nothing any more: {said}"
            time.sleep(0.05)
        longest = max(longest, time.monotonic() - since)
        time.sleep(pause)
    return round(longest * 1000)


class Server:
    """A nats-server."""

    def __init__(self, folder, port=0, config=""):
        self.folder = pathlib.Path(folder)
        self.port = port or free_port()
        self.monitor = free_port()
        file = self.folder / f"server-{self.port}.conf"
        file.write_text(config)
        log = open(self.folder / f"server-{self.port}.log", "ab")
        self.process = subprocess.Popen([BROKER, "-a", "127.0.0.1", "-p", str(self.port), "-m", str(self.monitor), "-c",
                                         file], stdout=log, stderr=log)
        wait("a broker", lambda: get(self.monitor, "/healthz?js-server-only=true"))

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


class Gavel:
    """A service with no rules, and without model unless flags say otherwise."""

    def __init__(self, folder, ports, config="", prefix=(), flags=("--model", "none"), env=None):
        self.folder, self.flags, self.env = pathlib.Path(folder), flags, env
        (self.folder / "rules").mkdir(exist_ok=True)
        (self.folder / "gavel.toml").write_text(config)
        self.url = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        self.prefix, self.http = list(prefix), free_port()
        self.start()

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [*self.prefix, GAVEL, "serve", "--nats", self.url, "--http", f"127.0.0.1:{self.http}", *self.flags],
            cwd=self.folder, stdout=log, stderr=log, env={**os.environ, **(self.env or {})})

    def ready(self):
        return get(self.http, "/readyz") is not None

    def wait_ready(self):
        return wait("readiness", self.ready)

    def metric(self, name):
        text = get(self.http, "/metrics") or ""
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))

    def log(self):
        return (self.folder / "log").read_text()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        assert code == 0, f"it ended with {code}:\n{self.log()[-2000:]}"


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(what, attempt, patience=30.0):
    since = time.monotonic()
    while not (found := attempt()):
        assert time.monotonic() - since < patience, f"waited {patience} s for {what}"
        time.sleep(0.02)
    return round((time.monotonic() - since) * 1000)


def said(counts):
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


STREAM = "[stream]\nenabled = true\n"


def jetstream(folder, extra=""):
    return f'jetstream {{ store_dir: "{folder}/js" }}\n{extra}'


def service_stopped(folder):
    """SIGSTOP of the service for 3 s"""
    broker = Server(folder)
    gavel = Gavel(folder, [broker.port])
    gavel.wait_ready()
    processor = Processor(broker.port, deadline_ms=500)
    time.sleep(0.5)
    gavel.signal(signal.SIGSTOP)
    time.sleep(3)
    gavel.signal(signal.SIGCONT)
    time.sleep(1)
    counts = processor.end()
    assert "unanswered" not in counts, counts
    # What is past its deadline has touched nothing.
    wait("the same count", lambda: gavel.metric("gavel_verdicts_total") == counts["verdict"])
    gavel.end()
    broker.end()
    return (f"{said(counts)}; the slowest verdict took {processor.longest_ms} ms to its processor, of a deadline of 500 ms "
            "that is looked at before scoring")


def broker_stopped(folder):
    """SIGSTOP of the broker for 8 s"""
    broker = Server(folder, config=jetstream(folder))
    gavel = Gavel(folder, [broker.port], STREAM)
    gavel.wait_ready()
    wait("reading", lambda: gavel.metric("gavel_stream_reading"))
    broker.signal(signal.SIGSTOP)
    noticed = wait("the loss", lambda: not gavel.ready())
    time.sleep(max(0, 8 - noticed / 1000))
    broker.signal(signal.SIGCONT)
    back = gavel.wait_ready()
    reading = back + wait("reading", lambda: gavel.metric("gavel_stream_reading"))
    processor = Processor(broker.port)
    longest = fill(broker.port, 50)
    counts = processor.end()
    wait("the verdicts", lambda: gavel.metric("gavel_verdicts_total") == counts.get("verdict", 0) + 50)
    gavel.end()
    broker.end()
    assert set(counts) == {"verdict"}, counts
    return (f"`/readyz` is 503 after {noticed} ms; 200 again {back} ms after SIGCONT, the stream is read after "
            f"{reading} ms; then {said(counts)} and 50 of the stream, stored within {longest} ms")


def slow_subscriber(folder):
    """A subscriber of verdicts that does not read"""
    broker = Server(folder, config="max_payload: 131072\nmax_pending: 262144\nwrite_deadline: \"1s\"\n")
    gavel = Gavel(folder, [broker.port])
    gavel.wait_ready()
    slow = socket.create_connection(("127.0.0.1", broker.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB fraud.v1.verdict.> 1\r\n')
    processor = Processor(broker.port, rate=2_000)
    slow_consumers = lambda: json.loads(get(broker.monitor, "/varz") or "{}").get("slow_consumers", 0)
    wait("the broker to cut it off", lambda: slow_consumers() > 0, 60)
    counts = processor.end()
    reconnects = gavel.metric("gavel_nats_reconnects_total")
    gavel.end()
    broker.end()
    assert set(counts) == {"verdict"} and reconnects == 0, (counts, reconnects)
    return f"the broker cuts it off; the service notices nothing: {said(counts)}"


def lame_duck(folder):
    """Lame duck of the broker it is connected to, one of two (`nats-server --signal ldm`)"""
    ports, routes = [free_port(), free_port()], [free_port(), free_port()]
    config = lambda n: (f"server_name: n{n}\nlame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"\n"
                        f"cluster {{ name: c, listen: 127.0.0.1:{routes[n]}, no_advertise: false, "
                        f"routes: [nats://127.0.0.1:{routes[1 - n]}] }}\n")
    servers = [Server(folder, ports[n], config(n)) for n in range(2)]
    wait("routes", lambda: len(json.loads(get(servers[0].monitor, "/routez"))["routes"]) > 0)
    gavel = Gavel(folder, ports[:1])
    gavel.wait_ready()
    processor = Processor(ports[1])
    time.sleep(1)
    subprocess.run([BROKER, "--signal", f"ldm={servers[0].process.pid}"], check=True, capture_output=True)
    servers[0].process.wait(timeout=30)
    time.sleep(1)
    counts = processor.end()
    moved = "the broker that stops is left" in gavel.log()
    wait("the same count", lambda: gavel.metric("gavel_verdicts_total") == counts["verdict"])
    repeated = gavel.metric("gavel_duplicates_total")
    gavel.end()
    servers[1].end()
    assert moved and set(counts) == {"verdict"} and not repeated, (moved, counts, repeated)
    return f"it listens at the other before it leaves this one; requests sent meanwhile: {said(counts)}, each once"


def leader_killed(folder):
    """kill -9 of the leader of both streams (three brokers, R3)"""
    ports, routes = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
    config = lambda n: (f'server_name: n{n}\njetstream {{ store_dir: "{folder}/js{n}" }}\ncluster {{ name: c, '
                        f"listen: 127.0.0.1:{routes[n]}, routes: ["
                        + ", ".join(f"nats://127.0.0.1:{route}" for route in routes) + "] }\n")
    servers = [Server(folder, ports[n], config(n)) for n in range(3)]
    leader = lambda monitor: json.loads(get(monitor, "/jsz") or "{}").get("meta_cluster", {}).get("leader")
    wait("a leader of JetStream", lambda: leader(servers[0].monitor))
    time.sleep(2)
    gavel = Gavel(folder, ports, STREAM + "replicas = 3\n")
    gavel.wait_ready()
    wait("reading", lambda: gavel.metric("gavel_stream_reading"))

    def leads(name):
        for server in servers:
            account = json.loads(get(server.monitor, "/jsz?streams=true") or "{}").get("account_details", [])
            for stream in (account[0].get("stream_detail", []) if account else []):
                if stream["name"] == name and stream.get("cluster", {}).get("leader"):
                    return int(stream["cluster"]["leader"][1:])
        return None

    wait("the stream's leader", lambda: leads("FRAUD-TXN") is not None)
    victim = leads("FRAUD-TXN")
    others = [n for n in range(3) if n != victim]
    processor = Processor(ports[others[0]])
    result = {}
    filling = threading.Thread(target=lambda: result.update(longest=fill(ports[others[1]], 300, 0.02)))
    filling.start()
    time.sleep(1)
    servers[victim].process.kill()
    servers[victim].process.wait()
    filling.join()
    counts = processor.end()
    port = ports[others[0]]
    wait("the verdicts of the stream", lambda: stored(port, "FRAUD-VERDICTS", "fraud.v1.verdict.s.>") >= 300)
    wait("the end of what is in flight", lambda: gavel.metric("gavel_stream_in_flight_messages") == 0)
    copied = lambda: stored(port, "FRAUD-VERDICTS", "fraud.v1.verdict.p.>")
    wait("the copies of verdicts on requests", lambda: copied() >= counts["verdict"])
    time.sleep(1)
    once = stored(port, "FRAUD-VERDICTS", "fraud.v1.verdict.s.>")
    copies, recalled = copied(), gavel.metric("gavel_stream_recalled_total")
    gavel.end()
    for n in others:
        servers[n].end()
    assert once == 300, once
    # Every one that was answered, and one that was scored while its reply had nobody to carry it.
    assert counts["verdict"] <= copies <= sum(counts.values()), (copies, counts)
    return (f"storing in the stream stalls for {result['longest']} ms at most; of 300 transactions of the stream {once} "
            f"have their verdict stored, each once; requests sent meanwhile over another broker: {said(counts)}; of their "
            f"verdicts {copies} copies are stored, each once, of which {recalled:.0f} were published again from the journal")


def clock_jumps(folder):
    """The wall clock jumps an hour ahead, back, and an hour behind (libfaketime)"""
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    shift = pathlib.Path(folder) / "shift"
    shift.write_text("+0\n")
    env = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(shift), "FAKETIME_NO_CACHE": "1",
           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    broker = Server(folder, config=jetstream(folder))
    gavel = Gavel(folder, [broker.port], STREAM, env=env)
    gavel.wait_ready()
    wait("reading", lambda: gavel.metric("gavel_stream_reading"))
    told, sent = [], 0
    for name, seconds in (("an hour ahead", 3_600), ("right again", 0), ("an hour behind", -3_600)):
        (pathlib.Path(folder) / "shift.new").write_text(f"{seconds:+d}\n")
        os.replace(pathlib.Path(folder) / "shift.new", shift)
        with_deadline = Processor(broker.port, deadline_ms=500, name="d" + str(len(told)), is_live=True)
        without = Processor(broker.port, name="n" + str(len(told)))
        fill(broker.port, 20, pause=0.05, first=sent)
        sent += 20
        counts = [with_deadline.end(), without.end()]
        assert all("unanswered" not in count for count in counts) and set(counts[1]) == {"verdict"}, counts
        told.append(f"{name}: with deadlines and times of now {said(counts[0])}, with neither {said(counts[1])}")
    wait("the verdicts of the stream", lambda: stored(broker.port, "FRAUD-VERDICTS", "fraud.v1.verdict.s.>") == sent)
    ready, failing = gavel.ready(), gavel.metric("gavel_journal_failing")
    gavel.end()
    gavel.start()
    gavel.wait_ready()
    lost = gavel.metric("gavel_journal_lost_total") + gavel.metric("gavel_journal_damage_total")
    gavel.end()
    broker.end()
    assert ready and failing == 0 and lost == 0, (ready, failing, lost)
    return "; ".join(told) + f"; all {sent} of the stream have their verdict, connections stay, a restart finds all"


@contextlib.contextmanager
def small_disk(folder, size):
    disk = pathlib.Path(folder) / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def disk_trouble(folder, break_it, mend_it):
    with small_disk(folder, "2m") as disk:
        broker = Server(folder, config=jetstream(folder))
        gavel = Gavel(folder, [broker.port], f'{STREAM}[durability]\ndir = "{disk}/state"\n')
        gavel.wait_ready()
        wait("reading", lambda: gavel.metric("gavel_stream_reading"))
        processor = Processor(broker.port)
        time.sleep(0.5)
        break_it(disk)
        wait("the journal to fail", lambda: gavel.metric("gavel_journal_failing"))
        fill(broker.port, 20)
        time.sleep(0.5)
        during = gavel.metric("gavel_stream_sequence")
        mend_it(disk)
        mended = wait("the journal to work", lambda: not gavel.metric("gavel_journal_failing"))
        wait("the stream", lambda: gavel.metric("gavel_stream_sequence") == 20)
        counts = processor.end()
        refused = gavel.metric("gavel_refusals_total")
        gavel.end()
        gavel.start()
        gavel.wait_ready()
        replayed, lost = gavel.metric("gavel_journal_replayed_total"), gavel.metric("gavel_journal_lost_total")
        gavel.end()
        broker.end()
        assert set(counts) <= {"verdict", "not_durable"} and during == 0 and lost == 0, (counts, during, lost)
        assert refused == counts.get("not_durable", 0), (refused, counts)
        assert replayed >= counts["verdict"] + 20, (replayed, counts)
        return (f"{said(counts)}, none unanswered; 20 of the stream wait and are scored once it works again, {mended} ms "
                "after it is mended; after a restart every answer is there")


def disk_full(folder):
    """The journal's disk is full (tmpfs of 2 MB)"""
    def break_it(disk):
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1024))
    return disk_trouble(folder, break_it, lambda disk: (disk / "filler").unlink())


def not_permitted(folder):
    """The journal's folder may not be written (another user's)"""
    broker = Server(folder)
    other = pathlib.Path(folder) / "theirs"
    other.mkdir(mode=0o700)
    os.chmod(folder, 0o755)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    gavel = Gavel(folder, [broker.port], f'[durability]\ndir = "{other}/state"\n', prefix)
    code = gavel.process.wait(timeout=30)
    refuses = [json.loads(line) for line in gavel.log().splitlines()][-1]["message"]
    (pathlib.Path(folder) / "log").unlink()
    going_on = Gavel(folder, [broker.port], f'[durability]\ndir = "{other}/state"\non_failure = "continue"\n', prefix)
    going_on.wait_ready()
    failing = going_on.metric("gavel_journal_failing")
    going_on.end()
    broker.end()
    assert code == 2 and failing == 1 and "Permission denied" in refuses, (code, failing, refuses)
    told = refuses.replace(str(other), "…")
    return f"`refuse`: ends with status 2, `{told}`; `continue`: serves, `gavel_journal_failing` is 1"


def stream_disk_full(folder):
    """The broker's disk is full (JetStream on a tmpfs of 4 MB)"""
    with small_disk(folder, "4m") as disk:
        broker = Server(folder, config=f'jetstream {{ store_dir: "{disk}/js", max_file_store: 1GB }}\n')
        gavel = Gavel(folder, [broker.port], STREAM)
        gavel.wait_ready()
        wait("reading", lambda: gavel.metric("gavel_stream_reading"))
        fill(broker.port, 20)
        wait("verdicts", lambda: gavel.metric("gavel_stream_sequence") == 20)
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1024))
        publisher, acks = Nats(broker.port), []
        publisher.subscribe("s.*", lambda subject, headers, body: acks.append(headers + body.decode()))
        for number in range(20, 60):
            publisher.publish(f"fraud.v1.txn.s.c_{number % 50}", transaction(f"t-{number}", number), f"s.{number}")
            time.sleep(0.02)
        processor = Processor(broker.port)
        time.sleep(3)
        counts = processor.end()
        reading = gavel.metric("gavel_stream_reading")
        stored = sum('"seq"' in ack for ack in acks)
        gavel.end()
        broker.end()
        assert set(counts) == {"verdict"}, counts
        return (f"of 40 messages for the stream {stored} are acknowledged, the others refused or unanswered; requests: "
                f"{said(counts)}; `gavel_stream_reading` is {reading:.0f}")


def main():
    global GAVEL
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gavel", type=pathlib.Path, default=ROOT / "target/debug/gavel")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    GAVEL = arguments.gavel.resolve()
    faults = [service_stopped, broker_stopped, slow_subscriber, lame_duck, leader_killed, clock_jumps, disk_full,
              not_permitted, stream_disk_full]
    need_root = {disk_full, not_permitted, stream_disk_full}
    failed = 0
    print("| fault | seen |\n|---|---|")
    for fault in faults:
        if arguments.only not in fault.__name__:
            continue
        if fault in need_root and os.geteuid() != 0:
            print(f"| {fault.__doc__} | not run: it needs root |", flush=True)
            continue
        if fault is clock_jumps and not any(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
            print(f"| {fault.__doc__} | not run: it needs Debian's `faketime` |", flush=True)
            continue
        folder = tempfile.mkdtemp(prefix="gavel-fault-")
        try:
            print(f"| {fault.__doc__} | {fault(folder)} |", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
        except Exception as error:  # Whatever went wrong, the others are still of interest.
            failed += 1
            print(f"| {fault.__doc__} | FAILED: {error!r}; logs in {folder} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

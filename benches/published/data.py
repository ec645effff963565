"""Published data as splits of exported features, and gavel's commands. It measures nothing."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DAY_MS = 86_400_000


@dataclass
class Study:
    """A data file with a feature file: what every model sees."""

    name: str
    transactions: Path
    features: Path
    config: Path | None
    frame: pd.DataFrame = None
    columns: list = None


@dataclass
class Split:
    """Rows to learn from and rows to be measured on."""

    train: pd.DataFrame
    test: pd.DataFrame
    periods: tuple


def moment_ms(text):
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


class Gavel:
    """The program, with what its runs took."""

    def __init__(self, program, work):
        self.program, self.work = program, Path(work)
        self.work.mkdir(parents=True, exist_ok=True)
        empty = self.work / "no_rules"
        empty.mkdir(exist_ok=True)
        self.empty = empty

    def run(self, *words):
        """Standard output, wall seconds and the largest memory in MiB."""
        begun = time.monotonic()
        child = subprocess.Popen([self.program, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, errors = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(f"gavel {' '.join(map(str, words))}\n{errors.decode()}")
        return out.decode(), time.monotonic() - begun, usage.ru_maxrss / 1024

    def common(self, study):
        return ["--config", study.config] if study.config else []

    def export(self, study, first):
        """The features of every transaction from `first` on, with card, time and label beside them."""
        path = self.work / f"{study.name}.csv"
        self.run("features", "--in", study.transactions, "--features", study.features, "--out", path, "--from", first,
                 *self.common(study))
        features = pd.read_csv(path, dtype={"id": str})
        about = pd.read_csv(study.transactions, usecols=["id", "time", "card", "label"], dtype={"id": str})
        frame = about.merge(features, on="id")
        assert len(frame) == len(features), "an id is not unique"
        numeric = pd.api.types.is_numeric_dtype(frame["time"])
        times = pd.to_datetime(frame["time"], unit="ms" if numeric else None, utc=True)
        frame["time_ms"] = (times - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(milliseconds=1)
        frame["card_number"] = frame["card"].astype("category").cat.codes.to_numpy()
        study.frame, study.columns = frame, [name for name in features.columns if name != "id"]

    def train(self, study, periods, settings, maturity="7d"):
        """Trains; the model's path, what training told, wall seconds, MiB."""
        start, end = periods[:2]
        out = self.work / f"{study.name}_{start}.model"
        sets = [word for setting in settings[1:] for word in ("--set", setting)]
        told, seconds, memory = self.run(
            "train", "--in", study.transactions, "--out", out, "--features", study.features, "--from", start,
            "--to", end, "--maturity", maturity, "--learner", settings[0], "--rules", "none", "--json",
            *sets, *self.common(study))
        return out, json.loads(told), seconds, memory

    def evaluate(self, study, model, periods, known_since=None):
        since = ["--known-since", known_since] if known_since else []
        told, _, _ = self.run("evaluate", "--in", study.transactions, "--model", model, "--from", periods[2],
                              "--to", periods[3], "--json", *since, *self.common(study))
        return json.loads(told)

    def scores(self, study, model, periods):
        """The score of each transaction of the test period, by id."""
        out = self.work / "verdicts.jsonl"
        self.run("score", "--in", study.transactions, "--out", out, "--model", model, "--rules", self.empty,
                 "--from", periods[2], "--to", periods[3], *self.common(study))
        with open(out) as lines:
            verdicts = map(json.loads, lines)
            return {verdict["id"]: verdict["score"] for verdict in verdicts}


def handbook_periods(test_start):
    """Seven days to learn from, seven for labels to arrive, seven to measure on."""
    day = pd.Timestamp(test_start)
    text = lambda days: str((day + pd.Timedelta(days=days)).date())
    return text(-14), text(-7), text(0), text(7)


def handbook_split(study, test_start):
    """The Handbook's protocol: cards known by a day to be compromised leave that day and those after it."""
    periods = handbook_periods(test_start)
    start, end, test_from, test_to = map(moment_ms, periods)
    frame = study.frame
    train = frame[(frame.time_ms >= start) & (frame.time_ms < end)]
    compromised = set(train[train.label == 1].card)
    days = []
    for day in range(7):
        if day > 0:
            known = frame[(frame.time_ms >= start + (7 + day - 1) * DAY_MS)
                          & (frame.time_ms < start + (7 + day) * DAY_MS)]
            compromised |= set(known[known.label == 1].card)
        rows = frame[(frame.time_ms >= test_from + day * DAY_MS) & (frame.time_ms < test_from + (day + 1) * DAY_MS)]
        days.append(rows[~rows.card.isin(compromised)])
    test = pd.concat(days)
    assert test.time_ms.max() < test_to
    return Split(train, test, periods)


def sparkov_split(study, periods):
    start, end, test_from, test_to = map(moment_ms, periods)
    time_ms = study.frame.time_ms
    train = study.frame[(time_ms >= start) & (time_ms < end)]
    test = study.frame[(time_ms >= test_from) & (time_ms < test_to)]
    return Split(train, test, periods)


def values(split, study):
    """Features and labels of both parts."""
    arrays = lambda part: (part[study.columns].to_numpy(np.float64), part.label.to_numpy() == 1)
    return *arrays(split.train), *arrays(split.test)

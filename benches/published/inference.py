#!/usr/bin/env python3
"""One ensemble, two libraries: XGBoost learns 100 trees of depth 8; its batch prediction on one core and on two, and
gavel's one row at a time on one thread, on the same trees and rows, in one run.

    .venv/bin/python benches/published/inference.py
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xgboost

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS, FEATURES, TREES, DEPTH, ROUNDS = 16_384, 20, 100, 8, 15
OUT = ROOT / "target/published/trees.json"


def preorder(tree):
    """Nodes as [feature, threshold, right, value]: the left child follows its parent, right is 0 in a leaf."""
    by_id, nodes = {}, []
    collect(tree, by_id)

    def push(node):
        at = len(nodes)
        if "leaf" in node:
            nodes.append([0, 0.0, 0, node["leaf"]])
            return
        nodes.append([int(node["split"][1:]), float(np.float32(node["split_condition"])), 0, 0.0])
        push(by_id[node["yes"]])
        nodes[at][2] = len(nodes)
        push(by_id[node["no"]])

    push(tree)
    return nodes


def collect(node, by_id):
    by_id[node["nodeid"]] = node
    for child in node.get("children", []):
        collect(child, by_id)


def main():
    bench = sys.argv[1:] or ["cargo", "bench", "--locked", "--bench", "model", "--"]
    random = np.random.default_rng(1)
    # Both compare in single precision's numbers, so that no rounding tells them apart.
    train = random.random((60_000, FEATURES)).astype(np.float32)
    target = (np.sin(6 * train[:, :10]).sum(1) + random.normal(0, 2, len(train)) > 1).astype(int)
    booster = xgboost.train({"max_depth": DEPTH, "objective": "binary:logistic", "tree_method": "hist", "eta": 0.1,
                             "min_child_weight": 0.1, "lambda": 1, "base_score": 0.5, "seed": 1, "nthread": 2},
                            xgboost.DMatrix(train, target), TREES)
    rows = random.random((ROWS, FEATURES)).astype(np.float32)
    margins = booster.predict(xgboost.DMatrix(rows), output_margin=True)
    trees = [json.loads(text) for text in booster.get_dump(dump_format="json")]
    plain = [preorder(tree) for tree in trees]
    leaves = statistics.mean(sum(node[2] == 0 for node in tree) for tree in plain)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"base": 0.0, "trees": plain, "rows": rows.astype(float).tolist(),
                               "margins": margins.astype(float).tolist()}))
    print(f"{TREES} trees of depth {DEPTH}, {leaves:.0f} leaves on average, {FEATURES} features")
    matrix = xgboost.DMatrix(rows)
    for threads in (1, 2):
        booster.set_param({"nthread": threads})
        for name, predict in [("probability", lambda: booster.inplace_predict(rows)),
                              ("with contributions (approximate, as ours are)",
                               lambda: booster.predict(matrix, pred_contribs=True, approx_contribs=True))]:
            took = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                predict()
                took.append((time.perf_counter() - begun) / ROWS * 1e6)
            print(f"XGBoost {xgboost.__version__}, batch of {ROWS}, {threads} of the cores, {name}: "
                  f"{statistics.median(took):.2f} µs a row")
    sys.stdout.flush()
    subprocess.run([*bench, "--trees", str(OUT)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What replication costs: durable batch upserts on two nodes, with one copy of each shard and with two.

    Benchmarks/replication/measure.py [--points 40000] [--batch 500] [--clients 4] [--runs 5]

Each run is a new cluster of two nodes and two shards, on the same cores; those with one copy and with two take turns. A
batch is answered when it is on the disk of every in-sync replica. Indexing goes on behind the answers, on the same cores,
and with two copies in two graphs: the time until all is indexed is told too.
"""

import argparse
import datetime
import pathlib
import statistics
import sys
import tempfile
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Benchmarks"))
sys.path.insert(0, str(REPOSITORY / "Tests" / "Acceptance"))

from harness import environment  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402

COLLECTION = "replication"
TARGET = 0.6


def upload(cluster, bodies, clients):
    """Seconds until every batch was acknowledged; the clients share the batches and alternate between the nodes."""
    waiting, failures = iter(bodies), []
    turn = threading.Lock()

    def run(number):
        client = cluster.client(1 + number % cluster.nodes)
        while True:
            with turn:
                body = next(waiting, None)
            if body is None:
                return
            answer = client.request("PUT", f"/collections/{COLLECTION}/points?wait=true", body)
            if answer.status != 200:
                failures.append(answer.text)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"{len(failures)} of {len(bodies)} batches failed: {failures[0][:500]}")
    return time.perf_counter() - started


def measure(copies, bodies, dimension, arguments):
    """(seconds until acknowledged, seconds until indexed as well)."""
    from cluster import Cluster

    with tempfile.TemporaryDirectory(prefix="shoal-replication-") as folder:
        cluster = Cluster(folder, nodes=2, replication_factor=copies, shards=2)
        cluster.start()
        try:
            schema = {"vectors": {"size": dimension, "distance": "Cosine"}}
            cluster.client().put(f"/collections/{COLLECTION}", schema).expect(200)
            started = time.perf_counter()
            acknowledged = upload(cluster, bodies, arguments.clients)
            cluster.wait_until_indexed(within=900)
            return acknowledged, time.perf_counter() - started
        finally:
            cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=environment.WORDNET)
    parser.add_argument("--points", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    environment.enter()
    environment.build_server()
    import numpy as np
    from client import points_body
    from harness.data import unit

    vectors = unit(np.load(arguments.data / "wordnet.base.f16.npy")[: arguments.points])
    bodies = []
    for start in range(0, len(vectors), arguments.batch):
        part = vectors[start : start + arguments.batch]
        bodies.append(points_body(range(start, start + len(part)), part, [{"number": i} for i in range(len(part))]))
    found = {1: [], 2: []}
    for run in range(arguments.runs):
        for copies in (1, 2):
            found[copies].append(measure(copies, bodies, vectors.shape[1], arguments))
            print(f"  run {run + 1} of {arguments.runs}, {copies} copies: {found[copies][-1]}", file=sys.stderr)

    report = Report("replication")
    report.add(
        f"Two nodes, two shards, WordNet, {len(vectors):,} x {vectors.shape[1]} in batches of {arguments.batch} from "
        f"{arguments.clients} clients, each batch durable before it is answered; points/s, medians of {arguments.runs} runs "
        f"that take turns; {machine()}, shared with the clients; {datetime.date.today()}"
    )
    rates = {
        copies: [len(vectors) / statistics.median(times) for times in zip(*measured)] for copies, measured in found.items()
    }
    ratios = [two / one for one, two in zip(rates[1], rates[2])]
    report.add(
        table(
            ["", "acknowledged", "acknowledged and indexed"],
            [["one copy", *rates[1]], ["two copies", *rates[2]], ["ratio", *ratios]],
        )
    )
    report.add(f"Two copies / one, acknowledged: {ratios[0]:.2f}, target {TARGET}: {'met' if ratios[0] >= TARGET else 'missed'}.")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What clients notice of splits and merges: 3 -> 6 -> 12 -> 6 -> 3 physical shards under a mixed load of eight clients.

    Benchmarks/resharding/measure.py [--copies 2] [--clients 8] [--quiet 30]

Clients query (three of four requests), upsert, delete, read back and count. The quiet time, before anything is split, is the
measure for the others. Everything runs on the same cores, the clients too, and they send as fast as they are answered.
"""

import argparse
import datetime
import pathlib
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Benchmarks"))
sys.path.insert(0, str(REPOSITORY / "Tests" / "Acceptance"))

from harness import environment  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402

COLLECTION = "resharding"
FIRST_WRITTEN = 100_000_000
TARGET = 3.0
PHASES = [("split", "--all", "6"), ("split", "--all", "12"), ("merge", "--to", "6"), ("merge", "--to", "3")]


def quantile(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * share))] * 1000 if times else 0.0


def count(cluster):
    body = {"exact": True}
    return cluster.client().post(f"/collections/{COLLECTION}/points/count", body).expect(200)["count"]


def row(name, seconds, notes, workload, start, stop, quiet):
    """What clients saw in a time."""
    queries = [note.seconds for note in notes if note.kind == "query"]
    writes = [note.seconds for note in notes if note.kind == "write"]
    everything = queries + writes
    p99 = quantile(everything, 0.99)
    return [
        name, f"{seconds:.0f}", f"{len(everything) / max(seconds, 0.1):.0f}", quantile(everything, 0.5), p99,
        f"{p99 / quiet:.2f}" if quiet else "1", quantile(queries, 0.99), quantile(writes, 0.99),
        max(writes, default=0) * 1000, f"{workload.recall(start, stop):.4f}",
        sum(1 for note in notes if note.outcome != "ok"),
    ], p99


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--quiet", type=int, default=30, help="seconds")
    arguments = parser.parse_args()
    environment.enter()
    environment.build_server()
    from cluster import Cluster
    from wordnet import WordNet, load
    from workload import Workload

    wordnet = WordNet.full()
    rows, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="shoal-resharding-") as folder:
        cluster = Cluster(folder, nodes=3, replication_factor=arguments.copies, shards=3)
        cluster.start()
        try:
            schema = {"vectors": {"size": wordnet.vectors.shape[1], "distance": "Cosine"}}
            cluster.client().put(f"/collections/{COLLECTION}", schema).expect(200)
            load([cluster.client(node) for node in (1, 2, 3)], COLLECTION, wordnet.bodies())
            cluster.wait_until_indexed(within=900)
            quiet = None
            workload = Workload(cluster, COLLECTION, wordnet, clients=arguments.clients, first_id=FIRST_WRITTEN)
            with workload:
                time.sleep(5)
                for verb, option, target in [(None, None, "3"), *PHASES]:
                    start = time.monotonic()
                    if verb is None:
                        time.sleep(arguments.quiet)
                    else:
                        number = target if verb == "merge" else None
                        options = [option, number] if number else [option]
                        cluster.cli("cluster", verb, "--collection", COLLECTION, *options, timeout=3_600)
                    stop = time.monotonic()
                    notes = [note for note in workload.notes if start <= note.sent < stop and note.seconds]
                    name = "quiet, 3 shards" if verb is None else f"to {target}"
                    cells, p99 = row(name, stop - start, notes, workload, start, stop, quiet)
                    quiet = quiet or p99
                    rows.append(cells)
                    print("  " + "  ".join(map(str, cells)), file=sys.stderr, flush=True)
                    time.sleep(3)
            failed = len(workload.failures("wrong", "broken", "unavailable"))
            kinds = [note.detail for note in workload.failures("wrong", "broken", "unavailable")][:5]
            expected = len(wordnet.ids) + workload.check_acknowledged()
            found = count(cluster)
        finally:
            cluster.stop()

    report = Report("resharding")
    report.add(
        f"Three nodes, WordNet, {len(wordnet.ids):,} x {wordnet.vectors.shape[1]}, {arguments.copies} copies of each shard, "
        f"{arguments.clients} clients; times in ms; {machine()}, shared with the clients; {datetime.date.today()}"
    )
    header = [
        "", "seconds", "requests/s", "p50", "p99", "p99 / quiet", "query p99", "write p99", "slowest write", "recall@10",
        "failed",
    ]
    report.add(table(header, rows))
    worst = max(float(cells[5]) for cells in rows[1:])
    report.add(
        f"Failed requests: {failed} {kinds or ''}. Points: {found:,}, expected {expected:,}. "
        f"Largest p99 / quiet: {worst:.2f}, target {TARGET:.0f}: {'met' if worst <= TARGET else 'missed'}."
    )
    sys.exit(0 if failed == 0 and found == expected else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What clients notice while nodes join and leave: 3 -> 4 -> 5 -> 3 nodes under a mixed load.

    Benchmarks/rebalance/measure.py [--clients 8] [--quiet 20] [--shards 6] [--max-bytes-per-second 50MiB]

Eight clients query, write, delete and read back what they wrote, through the three first nodes, without a pause. Each
phase is told with the latencies of its queries and writes, and its failed requests. Counts are compared point by point
in the end, and recall before and after. Last, what shipping a graph saves: the time until a moved replica answers, beside
the time in which a collection of the same points, in one shard, is indexed anew on the same machine at rest.
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Benchmarks"))
sys.path.insert(0, str(REPOSITORY / "Tests" / "Acceptance"))

from harness import environment  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402

COLLECTION = "rebalance"
SCHEMA = {"vectors": {"size": 384, "distance": "Cosine"}}
TARGET = 3


def percentiles(notes, kind):
    """p50 and p99 in milliseconds of the requests of a kind that succeeded."""
    seconds = sorted(note.seconds for note in notes if note.kind == kind and note.outcome == "ok")
    if not seconds:
        return None, None
    return tuple(1_000 * seconds[min(len(seconds) - 1, int(len(seconds) * share))] for share in (0.5, 0.99))


def count(cluster):
    path = f"/collections/{COLLECTION}/points/count"
    return cluster.client().post(path, {"exact": True}).expect(200)["count"]


def recall(cluster, wordnet):
    """Over all queries, with nothing else going on."""
    client, found = cluster.client(), []
    for row, body in enumerate(wordnet.query_bodies()):
        points = client.post(f"/collections/{COLLECTION}/points/query", body).expect(200)["points"]
        found.append(wordnet.recall(row, [point["id"] for point in points]))
    return sum(found) / len(found)


def run_phases(cluster, workload, arguments):
    """[(name, start, end)] of each phase."""
    throttle = ("--max-bytes-per-second", arguments.max_bytes_per_second) if arguments.max_bytes_per_second else ()
    phases = []

    def phase(name, *steps):
        start = time.monotonic()
        for step in steps:
            step()
        phases.append((name, start, time.monotonic()))
        print(f"  {name}: {phases[-1][2] - start:.1f} s", file=sys.stderr)

    def command(*words):
        return lambda: cluster.cli("cluster", *words, *throttle, timeout=3_600)

    phase("quiet", lambda: time.sleep(arguments.quiet))
    phase("3 -> 4", lambda: cluster.start(4), command("add", "--node", "4"))
    phase("4 -> 5", lambda: cluster.start(5), command("add", "--node", "5"))
    phase("5 -> 4", command("drain", "--node", "5"), command("remove", "--node", "5"))
    phase("4 -> 3", command("drain", "--node", "4"), command("remove", "--node", "4"))
    phase("quiet again", lambda: time.sleep(arguments.quiet))
    return phases


def moved_beside_built(cluster, wordnet, load):
    """Seconds until a moved replica is in sync and answers, with the whole graph; and of indexing its points anew."""
    from cluster import eventually

    client = cluster.client()
    tables = {table["collection"]: table for table in cluster.shard_tables()}
    shard = tables[COLLECTION]["shards"][0]
    held = [replica["node"] for replica in shard["replicas"]]
    target = next(node for node in (1, 2, 3) if node not in held)
    body = {"kind": "move", "collection": COLLECTION, "shard": shard["number"], "from": held[0], "to": target}
    began = time.monotonic()
    client.post("/shoal/operations", body).expect(200)

    def arrived():
        found = next(t for t in cluster.shard_tables() if t["collection"] == COLLECTION)["shards"][0]["replicas"]
        return next((r for r in found if r["node"] == target and r["state"] == "inSync" and r.get("points")), None)

    replica = eventually(arrived, 600, "the moved replica is in sync")
    moved = time.monotonic() - began

    # As many points as the shard has, into a collection of one shard and one copy.
    schema = {**SCHEMA, "shard_number": 1, "replication_factor": 1}
    client.put("/collections/anew", schema).expect(200)
    began = time.monotonic()
    load([cluster.client(node) for node in (1, 2, 3)], "anew", wordnet.bodies(stop=min(replica["points"], len(wordnet.ids))))

    def indexed():
        found = next(t for t in cluster.shard_tables() if t["collection"] == "anew")["shards"][0]["replicas"]
        return all(r.get("unindexedRows") == 0 for r in found)

    eventually(indexed, 1_800, "the new graph is complete")
    built = time.monotonic() - began
    client.delete("/collections/anew").expect(200)
    return replica["points"], replica["unindexedRows"], moved, built


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=environment.WORDNET)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--quiet", type=float, default=20, help="seconds of load before and after")
    parser.add_argument("--max-bytes-per-second", help="of each transfer, such as 50MiB; default: no limit")
    parser.add_argument("--sample", action="store_true", help="the repository's sample in place of the whole set")
    arguments = parser.parse_args()
    environment.enter()
    environment.build_server()
    os.environ["SHOAL_TEST_DATA"] = str(arguments.data)
    from growing import Growing
    from replicas import assert_replicas_are_equal
    from wordnet import WordNet, load
    from workload import OK, Workload

    wordnet = WordNet.sample() if arguments.sample else WordNet.full()
    with tempfile.TemporaryDirectory(prefix="shoal-rebalance-") as folder:
        cluster = Growing(pathlib.Path(folder), shards=arguments.shards)
        try:
            cluster.start()
            cluster.client().put(f"/collections/{COLLECTION}", SCHEMA).expect(200)
            load([cluster.client(node) for node in (1, 2, 3)], COLLECTION, wordnet.bodies())
            cluster.wait_until_in_sync()
            cluster.wait_until_indexed(within=1_800)
            before, recall_before = count(cluster), recall(cluster, wordnet)
            with Workload(cluster, COLLECTION, wordnet, clients=arguments.clients) as workload:
                phases = run_phases(cluster, workload, arguments)
            notes = workload.notes
            written = workload.check_acknowledged()
            after, recall_after = count(cluster), recall(cluster, wordnet)
            equal = assert_replicas_are_equal(cluster, COLLECTION)
            points, unindexed, moved, built = moved_beside_built(cluster, wordnet, load)
            finished = json.loads(cluster.cli("cluster", "operations", "--json"))
        finally:
            cluster.stop()

    report = Report("rebalance")
    report.add(
        f"WordNet, {before:,} x 384, {arguments.shards} shards, two copies, 3 -> 4 -> 5 -> 3 nodes under {arguments.clients} "
        f"clients (queries, upserts, deletes, reads); transfers at "
        f"{arguments.max_bytes_per_second or 'full speed'}; all on one machine: {machine()}; {datetime.date.today()}"
    )
    rows, quiet, worst = [], None, 0.0
    for name, start, end in phases:
        own = [note for note in notes if start <= note.sent < end]
        latencies = [*percentiles(own, "query"), *percentiles(own, "write")]
        quiet = quiet or latencies
        failed = sum(1 for note in own if note.outcome != OK)
        ratio = latencies[1] / quiet[1] if latencies[1] and quiet[1] else 0.0
        worst = max(worst, ratio)
        rows.append([name, end - start, len(own) / (end - start), *latencies, ratio, str(failed)])
    header = ["phase", "s", "requests/s", "query p50 ms", "p99 ms", "write p50 ms", "p99 ms", "query p99 / quiet", "failed"]
    report.add(table(header, rows))
    failed = [note for note in notes if note.outcome != OK]
    report.add(f"Failed requests: {len(failed)} of {len(notes):,}." + (f" Such as {failed[:3]}" if failed else ""))
    sent = sum(entry["bytesDone"] for entry in finished if entry["kind"] == "move" and entry.get("parent"))
    moves = sum(1 for entry in finished if entry["kind"] == "move" and entry.get("parent"))
    report.add(f"{moves} replicas were moved, {sent / 2**20:,.0f} MiB were sent.")
    exact = after == before + written and equal == after
    report.add(f"Points: {before:,} + {written:,} written = {after:,}, equal on both replicas: {'yes' if exact else 'NO'}.")
    report.add(f"Recall@10 of all queries: {recall_before:.4f} before, {recall_after:.4f} after.")
    report.add(
        f"A moved replica of {points:,} points answered after {moved:.2f} s, {unindexed:,} of its rows not in the graph; "
        f"loading and indexing as many anew took {built:.1f} s, {built / moved:.0f} times as long."
    )
    met = worst <= TARGET and not failed and exact
    report.add(f"Largest p99 / quiet p99: {worst:.2f}, target {TARGET}, no failed request, exact: {'met' if met else 'missed'}.")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Latency of queries over HTTP on one node, alone and beside durable upserts.

    Benchmarks/latency/measure.py [--quick] [--queries 100] [--upserts 500] [--seconds 20] [--runs 3]

Queries and upserts are sent at fixed rates, whatever the answers do, and a latency counts from the moment at which
its request was due: a server that stalls is charged for all who wait meanwhile. Each upsert is one point with
`wait=true` and replaces a point or adds one; it is answered when it is on the disk. Queries and upserts come from
processes of their own; they and the server share this machine's cores. Phases with and without upserts take turns.
"""

import argparse
import datetime
import json
import multiprocessing
import pathlib
import selectors
import socket
import statistics
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Benchmarks"))
sys.path.insert(0, str(REPOSITORY / "Tests" / "Acceptance"))

from harness import environment  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402

COLLECTION = "latency"
CONNECTIONS = 16
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
TARGET_RATIO = 2.0
QUICK_POINTS = 20_000


class Stream:
    """Requests at a fixed rate over keep-alive connections, one in flight on each; late ones go out as soon as they can."""

    def __init__(self, address, requests, rate):
        self.address, self.requests, self.rate = address, requests, rate

    def run(self, seconds):
        """(latencies from when each was due, failures)."""
        selector = selectors.DefaultSelector()
        idle = []
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(self.address, timeout=60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            idle.append(connection)
        connections = list(idle)
        latencies, failures, received, due = [], 0, {}, {}
        started, sent, total = time.perf_counter(), 0, int(self.rate * seconds)
        while len(latencies) < total:
            now = time.perf_counter()
            while idle and sent < total and started + sent / self.rate <= now:
                connection = idle.pop()
                due[connection], received[connection] = started + sent / self.rate, b""
                connection.sendall(self.requests[sent % len(self.requests)])
                selector.register(connection, selectors.EVENT_READ)
                sent += 1
            next_due = started + sent / self.rate if idle and sent < total else now + 1
            for key, _ in selector.select(max(0, next_due - time.perf_counter())):
                connection = key.fileobj
                received[connection] += connection.recv(1 << 18)
                status = complete_status(received[connection])
                if status is None:
                    continue
                latencies.append(time.perf_counter() - due[connection])
                failures += status != 200
                selector.unregister(connection)
                idle.append(connection)
        for connection in connections:
            connection.close()
        return latencies, failures


def complete_status(received):
    """The status when the whole answer is there."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return int(head[9:12]) if len(body) >= length else None


def in_a_process(stream, seconds):
    """Starts the stream in a process of its own; returns what waits for its result."""
    results = multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=lambda: results.put(stream.run(seconds)), daemon=True)
    process.start()

    def result():
        found = results.get()
        process.join()
        return found

    return result


def http_request(method, path, body):
    head = f"{method} {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def upserts(vectors, seed, number):
    """One point each, of which one in two is there already."""
    import numpy as np

    random = np.random.default_rng(seed)
    path = f"/collections/{COLLECTION}/points?wait=true"
    for _ in range(number):
        id = int(random.integers(2 * len(vectors)))
        vector = vectors[id % len(vectors)] + 0.02 * random.standard_normal(vectors.shape[1])
        point = {"id": id, "vector": [round(float(x), 5) for x in vector], "payload": {"version": int(random.integers(1 << 30))}}
        yield http_request("PUT", path, json.dumps({"points": [point]}).encode())


def percentile(latencies, share):
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000


def measure(cluster, vectors, queries, arguments):
    """name -> phase -> list of a value for each run."""
    address = ("127.0.0.1", cluster.http_port)
    path = f"/collections/{COLLECTION}/points/query"
    bodies = [json.dumps({"query": query.tolist(), "limit": 10}).encode() for query in queries]
    query_stream = Stream(address, [http_request("POST", path, body) for body in bodies], arguments.queries)
    query_stream.run(2)
    found = {"queries alone": {}, "beside upserts": {}, "the upserts": {}}

    def note(name, latencies):
        for label, share in SHARES.items():
            found[name].setdefault(label, []).append(percentile(latencies, share))

    for run in range(arguments.runs):
        print(f"  run {run + 1} of {arguments.runs}", file=sys.stderr)
        latencies, failures = in_a_process(query_stream, arguments.seconds)()
        note("queries alone", latencies)
        number = int(arguments.upserts * arguments.seconds)
        writes = Stream(address, list(upserts(vectors, run, number)), arguments.upserts)
        waiting = in_a_process(writes, arguments.seconds), in_a_process(query_stream, arguments.seconds)
        (written, failed_writes), (latencies, failed) = waiting[0](), waiting[1]()
        note("beside upserts", latencies)
        note("the upserts", written)
        if failures or failed or failed_writes:
            sys.exit(f"{failures + failed} queries and {failed_writes} upserts failed")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=environment.WORDNET)
    parser.add_argument("--queries", type=float, default=100, help="a second")
    parser.add_argument("--upserts", type=float, default=500, help="a second, each durable before it is answered")
    parser.add_argument("--seconds", type=float, default=20, help="of each phase")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_POINTS:,} points, and phases of 5 seconds")
    arguments = parser.parse_args()
    environment.enter()
    environment.build_server()
    import numpy as np
    from client import points_body
    from cluster import Cluster
    from harness.data import unit
    from wordnet import load

    rows = QUICK_POINTS if arguments.quick else None
    if arguments.quick:
        arguments.seconds = min(arguments.seconds, 5)
    vectors = unit(np.load(arguments.data / "wordnet.base.f16.npy")[:rows])
    queries = unit(np.load(arguments.data / "wordnet.queries.f16.npy"))
    # The harness's processes are copies of this one.
    multiprocessing.set_start_method("fork")
    with tempfile.TemporaryDirectory(prefix="shoal-latency-") as folder:
        cluster = Cluster(folder, nodes=1, replication_factor=1, shards=1)
        cluster.start()
        try:
            schema = {"vectors": {"size": vectors.shape[1], "distance": "Cosine"}, "shard_number": 1}
            cluster.client().put(f"/collections/{COLLECTION}", schema).expect(200)
            ids = range(0, len(vectors), 1_000)
            bodies = ((None, points_body(range(i, i + 1_000), vectors[i : i + 1_000], [{"version": 0}] * 1_000)) for i in ids)
            load([cluster.client(), cluster.client()], COLLECTION, bodies)
            cluster.wait_until_indexed(within=900)
            found = measure(cluster, vectors, queries, arguments)
        finally:
            cluster.stop()
    report = Report("latency")
    report.add(
        f"One node, one shard, WordNet, {len(vectors):,} x {vectors.shape[1]}, cosine; {arguments.queries:.0f} queries/s of 10 "
        f"points; {arguments.upserts:.0f} durable upserts/s; milliseconds, medians of {arguments.runs} phases of "
        f"{arguments.seconds:.0f} s; {machine()}, shared with the clients; {datetime.date.today()}"
    )
    medians = {name: {label: statistics.median(v) for label, v in of.items()} for name, of in found.items()}
    rows = [[name, *of.values()] for name, of in medians.items()]
    ratios = [medians["beside upserts"][label] / medians["queries alone"][label] for label in SHARES]
    rows.append(["ratio, beside to alone", *ratios])
    report.add(table(["", *SHARES], rows))
    met = "met" if max(ratios) <= TARGET_RATIO else "missed"
    report.add(f"Largest ratio: {max(ratios):.2f}, target {TARGET_RATIO}: {met}.")


if __name__ == "__main__":
    main()

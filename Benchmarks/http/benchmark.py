#!/usr/bin/env python3
"""Ingest, queries, memory and disk of real clusters over HTTP, on the WordNet set (117,659 points of 384 dimensions).

    Benchmarks/run [--runs 3] [--data ../shared/data] [--seconds 8]

Each run starts a fresh cluster, loads everything and queries it; medians of the runs are printed and kept in
Benchmarks/results/. The generator and the server share this machine's cores; the generator's own cost is measured
against /healthz and printed.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Benchmarks"))
sys.path.insert(0, str(REPOSITORY / "Tests" / "Acceptance"))

import wordnet as data_set  # noqa: E402
from cluster import Cluster  # noqa: E402
from generator import request_bytes, run  # noqa: E402
from harness.processes import disk_bytes, proportional_set_bytes  # noqa: E402
from harness.report import machine  # noqa: E402

COLLECTION = "wordnet"
TARGET = 0.95
EFFORTS = (12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TOPOLOGIES = {
    "1 node, 1 shard": dict(nodes=1, replication_factor=1, shards=1),
    "3 nodes, RF 2, 3 shards": dict(nodes=3, replication_factor=2, shards=3),
}


class Memory:
    """The highest sum of the nodes' proportional set sizes: pages that nodes share count once."""

    def __init__(self, pids):
        self.pids, self.peak, self.done = pids, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def now(self):
        total = sum(map(proportional_set_bytes, self.pids))
        self.peak = max(self.peak, total)
        return total

    def watch(self):
        while not self.done.wait(0.5):
            self.now()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *failure):
        self.done.set()
        self.thread.join()
        self.now()


def recall_of(measured, wordnet):
    found = [
        wordnet.recall(row, [point["id"] for point in json.loads(body)["result"]["points"]])
        for row, (status, body) in measured.answers.items()
        if status == 200
    ]
    assert len(found) == len(wordnet.queries), f"{len(found)} of {len(wordnet.queries)} queries were answered"
    return sum(found) / len(found)


def query_requests(wordnet, effort):
    options = {"params": {"hnsw_ef": effort}} if effort else {}
    bodies = wordnet.query_bodies(with_payload=False, **options)
    return [request_bytes("POST", f"/collections/{COLLECTION}/points/query", body) for body in bodies]


def smallest_effort(addresses, wordnet):
    """The smallest hnsw_ef that reaches the target, and its recall."""
    for effort in EFFORTS:
        recall = recall_of(run(addresses, query_requests(wordnet, effort), 4), wordnet)
        if recall >= TARGET:
            return effort, recall
    raise SystemExit(f"no hnsw_ef up to {EFFORTS[-1]} reaches recall@10 of {TARGET}")


def one_run(topology, wordnet, uploads, arguments, folder):
    cluster = Cluster(folder, **topology)
    addresses = [("127.0.0.1", cluster.http_port + 10 * node) for node in range(cluster.nodes)]
    result = {}
    cluster.start()
    try:
        pids = [node["pid"] for node in cluster.status()["nodes"]]
        cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
        with Memory(pids) as memory:
            loaded = run(addresses, uploads, 4)
            if loaded.failures:
                raise SystemExit(f"{loaded.failures} uploads failed, the first with {next(iter(loaded.answers.values()))}")
            acknowledged = loaded.seconds
            started = time.perf_counter()
            cluster.wait_until_indexed(within=900)
            indexed = acknowledged + time.perf_counter() - started
        result["ingest, acknowledged (points/s)"] = len(wordnet.ids) / acknowledged
        result["ingest, until indexed (points/s)"] = len(wordnet.ids) / indexed
        result["peak memory while loading (MB)"] = memory.peak / 1e6
        effort, _ = smallest_effort(addresses, wordnet)
        with Memory(pids) as memory:
            for label, ef in (("default", None), ("tuned", effort)):
                requests = query_requests(wordnet, ef)
                result[f"{label}: recall@10"] = recall_of(run(addresses, requests, 8), wordnet)
                for concurrency in (1, 8):
                    measured = run(addresses, requests, concurrency, seconds=arguments.seconds)
                    if measured.failures:
                        raise SystemExit(f"{measured.failures} queries failed")
                    prefix = f"{label}, {concurrency} at a time"
                    result[f"{prefix}: queries/s"] = measured.rate
                    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                        result[f"{prefix}: {name} (ms)"] = measured.percentile(share) * 1000
        result["tuned: hnsw_ef"] = effort
        result["peak memory while querying (MB)"] = memory.peak / 1e6
        for concurrency in (1, 8):
            measured = run(addresses, [request_bytes("GET", "/healthz")], concurrency, seconds=arguments.seconds / 2)
            result[f"generator alone, {concurrency} at a time: /healthz requests/s"] = measured.rate
            result[f"generator alone, {concurrency} at a time: own CPU per request (us)"] = (
                measured.own_cpu_seconds / len(measured.latencies) * 1e6
            )
    finally:
        cluster.stop()
    result["disk after a clean stop (MB)"] = disk_bytes(cluster.data) / 1e6
    return result


def table(results):
    names = list(results)
    width = max(len(key) for result in results.values() for key in result)
    lines = ["  ".join(["".ljust(width), *(name.rjust(24) for name in names)])]
    for key in next(iter(results.values())):
        values = [results[name][key] for name in names]
        digits = 4 if "recall" in key else 2 if "(ms)" in key else 0
        lines.append("  ".join([key.ljust(width), *(f"{value:,.{digits}f}".rjust(24) for value in values)]))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each query measurement")
    parser.add_argument("--data", type=Path, default=data_set.FULL)
    arguments = parser.parse_args()
    data_set.FULL = arguments.data
    if not data_set.full_is_there():
        raise SystemExit(f"the data set is not in {arguments.data}; --data names its folder")
    wordnet = data_set.WordNet.full()
    print("Encoding the requests...", flush=True)
    uploads = [
        request_bytes("PUT", f"/collections/{COLLECTION}/points?wait=true", body) for _, body in wordnet.bodies(batch=500)
    ]
    medians = {}
    for name, topology in TOPOLOGIES.items():
        runs = []
        for number in range(arguments.runs):
            print(f"{name}: run {number + 1} of {arguments.runs}...", flush=True)
            with tempfile.TemporaryDirectory(prefix="shoal-benchmark-") as folder:
                runs.append(one_run(topology, wordnet, uploads, arguments, folder))
        medians[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    heading = (
        f"Shoal over HTTP: WordNet, {len(wordnet.ids):,} x 384, Cosine, limit 10 without payload. "
        f"{machine()}, shared by server and generator. Medians of {arguments.runs} runs."
    )
    text = f"{heading}\n\n{table(medians)}\n"
    print(f"\n{text}")
    results = REPOSITORY / "Benchmarks" / "results"
    results.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    (results / f"http-{stamp}.txt").write_text(text)
    (results / f"http-{stamp}.json").write_text(json.dumps({"machine": machine(), "medians": medians}, indent=1))


if __name__ == "__main__":
    main()

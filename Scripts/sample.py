#!/usr/bin/env python3
"""What `make demo` does with the sample data. Needs nothing but Python's standard library.

    sample.py load URL COLLECTION           loads the 5,000 points of Sample/ over HTTP
    sample.py body ROW [LIMIT]              prints the body of a query for row ROW of the queries
    sample.py show ROW                      prints question and answers of a query's response (stdin)
    sample.py move COLLECTION               chooses a move from `shoal cluster shards --json` (stdin)
"""

import ast
import gzip
import http.client
import json
import struct
import sys
import textwrap
import time
import urllib.parse
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent.parent / "Sample"
BATCH = 250
# Overload answers are retried for so long; a demo on a busy laptop should not fail.
PATIENCE_SECONDS = 60


def read_vectors(path):
    """The rows of a float16 .npy file as tuples of floats."""
    with open(path, "rb") as file:
        magic = file.read(8)
        if magic[:6] != b"\x93NUMPY":
            sys.exit(f"{path} is not a .npy file")
        (length,) = struct.unpack("<H", file.read(2)) if magic[6] == 1 else struct.unpack("<I", file.read(4))
        header = ast.literal_eval(file.read(length).decode("latin-1"))
        if header["descr"] != "<f2" or header["fortran_order"]:
            sys.exit(f"{path} holds {header}, not rows of float16")
        rows, columns = header["shape"]
        row = struct.Struct(f"<{columns}e")
        return [row.unpack(file.read(row.size)) for _ in range(rows)]


def progress(done, total, started):
    rate = done / max(time.monotonic() - started, 1e-9)
    if sys.stdout.isatty():
        filled = 40 * done // total
        print(f"\r  [{'#' * filled}{'.' * (40 - filled)}] {done:,} of {total:,} points, {rate:,.0f}/s", end="", flush=True)
        if done == total:
            print()
    elif done == total:
        print(f"  {done:,} points, {rate:,.0f}/s")


def put(connection, path, body):
    """Sends one batch; retries while the cluster says that it is busy. Returns the live connection."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        connection.request("PUT", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        if response.status == 200:
            return
        if response.status not in (429, 503) or time.monotonic() > deadline:
            sys.exit(f"The cluster answered {response.status}: {text[:500]}")
        time.sleep(0.2)


def load(url, collection):
    with gzip.open(SAMPLE / "points.jsonl.gz", "rt", encoding="utf-8") as lines:
        points = [json.loads(line) for line in lines]
    vectors = read_vectors(SAMPLE / "points.f16.npy")
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    path = f"/collections/{urllib.parse.quote(collection, safe='')}/points?wait=true"
    started = time.monotonic()
    for first in range(0, len(points), BATCH):
        batch = [
            {"id": point.pop("id"), "vector": vector, "payload": point}
            for point, vector in zip(points[first : first + BATCH], vectors[first : first + BATCH])
        ]
        put(connection, path, json.dumps({"points": batch}))
        progress(first + len(batch), len(points), started)


def question(row):
    with open(SAMPLE / "queries.jsonl", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines][row]


def body(row, limit=3):
    vector = read_vectors(SAMPLE / "queries.f16.npy")[row]
    print(json.dumps({"query": vector, "limit": limit, "with_payload": True}))


def show(row):
    """Prints a response which curl's --write-out ended with a line `seconds in all`."""
    text = sys.stdin.read()
    try:
        answer, _, seconds = text.rstrip().rpartition("\n")
        points = json.loads(answer)["result"]["points"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"Not the answer of a query: {text[:500]}")
    print(f"  \"{question(row)}\"    ({float(seconds) * 1000:.1f} ms)")
    for point in points:
        payload = point["payload"]
        line = f"{point['score']:.3f}  {', '.join(payload['words'])} ({payload['pos']}): {payload['definition']}"
        print(textwrap.fill(line, 110, initial_indent="    ", subsequent_indent="           "))
    print()


def move(collection):
    """Prints `shard from to`: a replica on the node with the most replicas, to a node that has none of its shard."""
    tables = [table for table in json.load(sys.stdin) if table["collection"] == collection]
    shards = [shard for table in tables for shard in table["shards"]]
    load_of = {}
    for shard in shards:
        for replica in shard["replicas"]:
            load_of[replica["node"]] = load_of.get(replica["node"], 0) + 1
    candidates = []
    for shard in shards:
        holders = {replica["node"] for replica in shard["replicas"] if replica["state"] == "inSync"}
        if len(holders) != len(shard["replicas"]):
            continue
        for source in holders:
            for target in set(load_of) - holders:
                candidates.append((load_of[target] - load_of[source], shard["number"], source, target))
    if candidates:
        print(*min(candidates)[1:])


def main():
    match sys.argv[1:]:
        case ["load", url, collection]:
            load(url, collection)
        case ["body", row, *limit]:
            body(int(row), *map(int, limit))
        case ["show", row]:
            show(int(row))
        case ["move", collection]:
            move(collection)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Cycles of writing, kill -9 at a random moment, starting, and checking everything against a model.

    .venv-tests/bin/python Tests/Acceptance/crash_cycles.py --cycles 200 [--seed 1]

Three writers upsert and delete points of their own, so that each id has one author and the model knows its value:
what was acknowledged, or one of two where an answer did not come. The writers keep rewriting a few thousand points,
so that checkpoints and compactions run all the time. Some cycles fall silent before the kill, so that it may hit a
checkpoint or a compaction of an idle shard; some create or drop payload indexes right before it. After each start
every point is read and compared, with its vector, and counts, filters and searches are.

A seed fixes what is written and when the kill comes, but not what the threads of the server do at that moment.
"""

import argparse
import random
import sys
import tempfile
import threading
import time

import numpy as np

from client import ConnectionBroken, points_body
from single_node import SingleNode

COLLECTION = "cycles"
# Wide enough for the graph to walk over codes, small enough to be read in full in each cycle.
DIMENSION = 64
WRITERS, IDS_PER_WRITER, TAGS = 3, 1_200, 5
# Shards compact themselves all the time: a quarter of their rows is dead within a second of load.
SETTINGS = "storage:\n  compaction:\n    minDeadRows: 256\n"
LONGEST_LOAD_SECONDS, LONGEST_SILENCE_SECONDS = 1.2, 1.5
INDEXES = {"version": "integer", "tag": "keyword"}


def vector_of(version):
    """Small whole numbers: exact in JSON and in float32."""
    return np.random.default_rng(version).integers(-8, 9, DIMENSION)


def payload_of(version):
    return {"version": version, "tag": f"t{version % TAGS}", "text": "x" * (version % 97)}


class Writer:
    """Writes to ids of its own; `values` is id -> the set of versions that may be there, None for no point."""

    def __init__(self, node, number, seed):
        self.node, self.choice = node, random.Random(seed)
        self.ids = range(number * IDS_PER_WRITER, (number + 1) * IDS_PER_WRITER)
        self.values = {id: {None} for id in self.ids}
        self.acknowledged = 0
        self.refusal = None

    def run(self, stopping):
        client = self.node.client(timeout=30)
        while not stopping.is_set() and self.refusal is None:
            self.write(client)

    def write(self, client):
        if self.choice.random() < 0.8:
            ids = self.choice.sample(self.ids, self.choice.randrange(1, 60))
            new = {id: self.choice.randrange(1 << 40) for id in ids}
            versions = list(new.values())
            body = points_body(ids, map(vector_of, versions), map(payload_of, versions))
            request = ("PUT", f"/collections/{COLLECTION}/points?wait=true", body)
        else:
            ids = self.choice.sample(self.ids, self.choice.randrange(1, 20))
            new = dict.fromkeys(ids)
            request = ("POST", f"/collections/{COLLECTION}/points/delete?wait=true", {"points": ids})
        for id in ids:
            self.values[id] = self.values[id] | {new[id]}
        try:
            answer = client.request(*request)
        except ConnectionBroken:
            return
        if answer.status == 200:
            self.acknowledged += 1
            for id in ids:
                self.values[id] = {new[id]}
        elif answer.status not in (429, 503, 504):
            self.refusal = f"{answer.status}: {answer.text[:500]}"


class Cycles:
    def __init__(self, node, seed):
        self.node, self.choice = node, random.Random(seed)
        self.writers = [Writer(node, number, seed * 1_000 + number) for number in range(WRITERS)]
        self.indexed = {}

    def prepare(self):
        self.node.start()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 2}
        self.node.client().put(f"/collections/{COLLECTION}", schema).expect(200)

    def run_one(self):
        """Load, kill, start, check; returns how many points there are."""
        self.load_until_the_kill()
        for writer in self.writers:
            assert writer.refusal is None, f"a write was refused: {writer.refusal}"
        self.node.start()
        points = self.read_all()
        self.check_points(points)
        self.check_answers(points)
        return len(points)

    def load_until_the_kill(self):
        stopping = threading.Event()
        before = sum(writer.acknowledged for writer in self.writers)
        threads = [threading.Thread(target=writer.run, args=(stopping,), daemon=True) for writer in self.writers]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30
        while sum(writer.acknowledged for writer in self.writers) == before:
            assert time.monotonic() < deadline, "no write was acknowledged within 30 s"
        # These are not waits for something: the kill comes at a moment that nothing else decides.
        time.sleep(self.choice.uniform(0, LONGEST_LOAD_SECONDS))
        kind = self.choice.choice(["load", "load", "silence", "index", "compaction"])
        if kind == "silence":
            stopping.set()
            for thread in threads:
                thread.join()
            time.sleep(self.choice.uniform(0, LONGEST_SILENCE_SECONDS))
        elif kind == "index":
            self.change_an_index()
            time.sleep(self.choice.uniform(0, 0.2))
        elif kind == "compaction":
            self.node.client().post("/shoal/compact", {"collection": COLLECTION}).expect(200)
            time.sleep(self.choice.uniform(0, 0.5))
        self.node.kill()
        stopping.set()
        for thread in threads:
            thread.join()

    def change_an_index(self):
        """Creates or drops a payload index, without waiting for it to be complete."""
        field = self.choice.choice(list(INDEXES))
        client, path = self.node.client(), f"/collections/{COLLECTION}/index"
        if field in self.indexed:
            client.delete(f"{path}/{field}?wait=false").expect(200)
            del self.indexed[field]
        else:
            client.put(f"{path}?wait=false", {"field_name": field, "field_schema": INDEXES[field]}).expect(200)
            self.indexed[field] = INDEXES[field]

    def read_all(self):
        """id -> (payload, vector), of every point."""
        client, points, start = self.node.client(), {}, None
        while True:
            body = {"limit": 1_000, "offset": start, "with_payload": True, "with_vector": True}
            page = client.post(f"/collections/{COLLECTION}/points/scroll", body).expect(200)
            for point in page["points"]:
                assert point["id"] not in points, f"point {point['id']} came twice"
                points[point["id"]] = (point["payload"], point["vector"])
            start = page.get("next_page_offset")
            if start is None:
                return points

    def check_points(self, points):
        """Each point has one of the values that it may have, and the vector that belongs to it. The model learns which."""
        values = {id: writer.values for writer in self.writers for id in writer.ids}
        strangers = [id for id in points if id not in values]
        assert not strangers, f"points that nobody wrote: {strangers[:5]}"
        for id, of_writer in values.items():
            payload, vector = points.get(id, (None, None))
            version = payload and payload.get("version")
            assert version in of_writer[id], f"point {id} is {payload} where one of {of_writer[id]} must be"
            if version is not None:
                assert payload == payload_of(version), f"point {id} has the payload {payload}"
                assert vector == vector_of(version).tolist(), f"point {id}, version {version}, has the vector {vector}"
            of_writer[id] = {version}

    def check_answers(self, points):
        """Counts, filters, and searches for points by their own vectors."""
        client, path = self.node.client(), f"/collections/{COLLECTION}/points"

        def count(body):
            return client.post(f"{path}/count", {"exact": True, **body}).expect(200)["count"]

        assert count({}) == len(points), f"{count({})} points are counted, {len(points)} are there"
        for tag in (f"t{number}" for number in range(TAGS)):
            expected = sum(payload["tag"] == tag for payload, _ in points.values())
            found = count({"filter": {"must": [{"key": "tag", "match": {"value": tag}}]}})
            assert found == expected, f"{found} points have the tag {tag} where {expected} do; indexes: {self.indexed}"
        middle = 1 << 39
        expected = sum(payload["version"] < middle for payload, _ in points.values())
        found = count({"filter": {"must": [{"key": "version", "range": {"lt": middle}}]}})
        assert found == expected, f"{found} points below {middle} where {expected} are; indexes: {self.indexed}"
        asked = self.choice.sample(sorted(points), min(20, len(points)))
        self_found = 0
        for id in asked:
            vector = points[id][1]
            exact, near = (
                client.post(f"{path}/query", {"query": vector, "limit": 1, "params": params}).expect(200)["points"]
                for params in ({"exact": True}, {"hnsw_ef": 128})
            )
            assert exact and exact[0]["score"] == 0, f"point {id} is not its own nearest: {exact}"
            self_found += bool(near) and near[0]["score"] == 0
        assert self_found >= 0.9 * len(asked), f"{self_found} of {len(asked)} points are found by the graph"


def run_cycles(folder, cycles, seed, report=lambda line: None):
    """Fails with the seed and the command that repeats it."""
    replay = f".venv-tests/bin/python Tests/Acceptance/crash_cycles.py --cycles {cycles} --seed {seed}"
    with SingleNode(folder, settings=SETTINGS) as node:
        run = Cycles(node, seed)
        run.prepare()
        for number in range(1, cycles + 1):
            try:
                points = run.run_one()
            except AssertionError as failure:
                raise AssertionError(f"cycle {number} of seed {seed}: {failure}\nreplay: {replay}\n{node.log_end()}") from failure
            writes = sum(writer.acknowledged for writer in run.writers)
            report(f"cycle {number} of {cycles}: {points:,} points as they must be, {writes:,} writes acknowledged so far")
        node.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shoal-crash-cycles-") as folder:
        try:
            run_cycles(folder, arguments.cycles, arguments.seed, lambda line: print(line, flush=True))
        except AssertionError as failure:
            sys.exit(str(failure))


if __name__ == "__main__":
    main()

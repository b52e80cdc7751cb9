"""The real data: the full WordNet set when it is there, else the sample of the repository."""

import gzip
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np

from client import points_body

REPOSITORY = Path(__file__).resolve().parents[2]
FULL = Path(os.environ.get("SHOAL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
SAMPLE = REPOSITORY / "Sample"


def full_is_there():
    return (FULL / "wordnet.base.f16.npy").exists()


class WordNet:
    """Points, queries and the exact neighbours. Vectors are of unit length."""

    def __init__(self, points, vectors, queries, truth):
        self._points, self._vectors, self._queries, self._truth = points, vectors, queries, truth

    @classmethod
    def full(cls):
        return cls(
            FULL / "wordnet.points.jsonl.gz",
            FULL / "wordnet.base.f16.npy",
            FULL / "wordnet.queries.f16.npy",
            FULL / "wordnet.gt100.u32.npy",
        )

    @classmethod
    def sample(cls):
        return cls(*(SAMPLE / name for name in ("points.jsonl.gz", "points.f16.npy", "queries.f16.npy", "truth.u32.npy")))

    @cached_property
    def payloads(self):
        """id -> payload, in row order."""
        with gzip.open(self._points, "rt", encoding="utf-8") as lines:
            points = [json.loads(line) for line in lines]
        return {point.pop("id"): point for point in points}

    @cached_property
    def ids(self):
        return list(self.payloads)

    @cached_property
    def row_of(self):
        return {id: row for row, id in enumerate(self.ids)}

    @cached_property
    def vectors(self):
        return unit(np.load(self._vectors))

    @cached_property
    def queries(self):
        return unit(np.load(self._queries))

    @cached_property
    def truth(self):
        """Ids of the exact 100 nearest points of each query, best first."""
        return np.load(self._truth)

    def bodies(self, batch=500, start=0, stop=None):
        """Upserts in list form: (ids, bytes) of each."""
        stop = len(self.ids) if stop is None else stop
        for first in range(start, stop, batch):
            ids = self.ids[first : min(first + batch, stop)]
            yield ids, points_body(ids, self.vectors[first : first + len(ids)], [self.payloads[id] for id in ids])

    def query_bodies(self, limit=10, **options):
        """The bytes of a query for each row of the queries."""
        return [
            json.dumps({"query": vector.tolist(), "limit": limit, "with_payload": True, **options}).encode()
            for vector in self.queries
        ]

    def recall(self, row, ids, k=10):
        """The share of the exact k nearest points of a query that `ids` holds."""
        return len(set(ids[:k]) & set(self.truth[row, :k].tolist())) / k

    def score(self, row, id):
        """The exact cosine similarity of a query and a point."""
        return float(self.queries[row] @ self.vectors[self.row_of[id]])


def unit(rows):
    wide = rows.astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def load(clients, collection, bodies):
    """Sends upserts through one thread per client; each must be acknowledged."""
    source, lock = iter(bodies), Lock()

    def send(client):
        while True:
            with lock:
                batch = next(source, None)
            if batch is None:
                return
            while (answer := client.put(f"/collections/{collection}/points?wait=true", batch[1])).status == 429:
                pass  # the server's back-pressure; it has waited already before it says so
            answer.expect(200)

    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(send, clients))

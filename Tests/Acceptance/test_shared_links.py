"""A backup's graph takes its links over from the primary's, and is as good."""

import re

import numpy as np
import pytest

from client import points_body
from cluster import eventually
from unsupervised import Nodes

COLLECTION = "linked"
POINTS, DIMENSION, BATCH = 12_000, 64, 500
GENERATOR = np.random.default_rng(17)
CENTRES = GENERATOR.normal(size=(40, DIMENSION))


def clustered(count):
    return (CENTRES[GENERATOR.integers(0, 40, count)] + 0.5 * GENERATOR.normal(size=(count, DIMENSION))).astype(np.float32)


VECTORS, QUERIES = clustered(POINTS), clustered(100)


def load(client, numbers):
    for start in range(numbers.start, numbers.stop, BATCH):
        part = range(start, min(start + BATCH, numbers.stop))
        body = points_body(part, VECTORS[part.start : part.stop], [{}] * len(part))
        client.request("PUT", f"/collections/{COLLECTION}/points?wait=true", body).expect(200)


def linked(cluster, node):
    text = cluster.client(node).get("/metrics").text.decode()
    return float(re.search(r"^shoal_rows_linked_from_primary_total (\S+)$", text, re.M)[1])


def recall(client, count):
    found = 0
    for query in QUERIES:
        nearest = np.argsort(((VECTORS[:count] - query) ** 2).sum(axis=1))[:10]
        body = {"query": query.tolist(), "limit": 10}
        points = client.post(f"/collections/{COLLECTION}/points/query", body).expect(200)["points"]
        found += len({point["id"] for point in points} & set(nearest.tolist()))
    return found / (10 * len(QUERIES))


@pytest.fixture
def pair(tmp_path):
    nodes = Nodes(tmp_path, nodes=2, replication_factor=2, shards=1)
    try:
        nodes.start()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1, "replication_factor": 2}
        nodes.client().put(f"/collections/{COLLECTION}", schema).expect(200)
        yield nodes
    finally:
        nodes.stop()


def primary(cluster, through=1):
    """The primary's node, as a node says that is up."""
    [table] = cluster.shard_tables(through, COLLECTION)
    return next(r["node"] for r in table["shards"][0]["replicas"] if r["isPrimary"])


def test_a_backup_is_linked_as_its_primary_and_takes_over_with_the_same_recall(pair, measured):
    before = POINTS - 2_000
    load(pair.client(), range(before))
    pair.wait_until_indexed()
    pair.wait_until_in_sync()
    first = primary(pair)
    backup = 3 - first
    share = linked(pair, backup) / before
    assert linked(pair, first) == 0
    assert share > 0.1
    both = recall(pair.client(first), before)
    pair.kill(first)
    survivor = pair.client(backup)
    eventually(lambda: primary(pair, backup) == backup, 30, "the backup takes over")
    alone = recall(survivor, before)
    measured(f"{share:.0%} of the backup's rows were linked from its primary; recall@10 {both:.3f}, of the backup {alone:.3f}")
    assert alone >= 0.95
    # It is the primary now, whom nobody tells anything.
    pair.start(first)
    load(survivor, range(before, POINTS))
    pair.wait_until_in_sync()
    pair.wait_until_indexed()
    assert recall(survivor, POINTS) >= 0.95

"""A replica that was away: a short time is made good from the log, a long one by a snapshot, from whoever is there."""

import pytest

from cluster import eventually
from replicas import assert_replicas_are_equal
from unsupervised import Nodes

COLLECTION = "away"
# More than the log that is kept (`SETTINGS`), for each of the three shards.
LONG, SHORT = 1_500, 60
SETTINGS = "storage:\n  retainedLog: 1MiB\n  maxPinnedLog: 1MiB\n"
SNAPSHOT = "Receiving a snapshot"


@pytest.fixture
def nodes(tmp_path, request):
    made = Nodes(tmp_path / "cluster", replication_factor=3, settings=SETTINGS)
    request.node.clusters = [made]
    made.start()
    made.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    yield made
    made.stop()


def write(nodes, through, ids):
    """Writes points of 4 KB, and again until they are taken."""
    client = nodes.client(through)
    for start in range(ids.start, ids.stop, 100):
        batch = range(start, min(start + 100, ids.stop))
        points = [{"id": id, "vector": [id, 1, 2, 3], "payload": {"text": f"{id} " * 600}} for id in batch]
        path = f"/collections/{COLLECTION}/points?wait=true"
        eventually(lambda: client.put(path, {"points": points}).status == 200, 30, "a write is taken")


def wait_until_equal(nodes, points):
    nodes.wait_until_in_sync(within=30)
    assert assert_replicas_are_equal(nodes, COLLECTION) == points


@pytest.mark.parametrize("absence, count", [("short", SHORT), ("long", LONG)])
def test_an_absence_is_made_good_from_the_log_or_by_a_snapshot(nodes, absence, count):
    write(nodes, 1, range(100))
    nodes.wait_until_in_sync()
    before = len(nodes.log_of(3))
    nodes.kill(3)
    write(nodes, 1, range(100, 100 + count))
    nodes.start(3)
    wait_until_equal(nodes, 100 + count)
    since = nodes.log_of(3)[before:]
    assert (SNAPSHOT in since) == (absence == "long"), since


def test_who_has_just_caught_up_feeds_the_next(nodes):
    """Node 1 feeds node 2 and dies; node 2 alone has it all, and feeds node 3; last comes node 1, which is behind now."""
    write(nodes, 1, range(100))
    nodes.wait_until_in_sync()
    nodes.kill(3)
    write(nodes, 1, range(100, 100 + LONG))
    nodes.kill(2)
    write(nodes, 1, range(100 + LONG, 100 + 2 * LONG))
    nodes.start(2)

    def in_sync(through, *wanted):
        tables = nodes.shard_tables(through, COLLECTION)
        return all(
            {r["node"] for r in shard["replicas"] if r["state"] == "inSync"} >= set(wanted)
            for shard in tables[0]["shards"]
        )

    eventually(lambda: in_sync(1, 1, 2), 30, "node 2 has caught up")
    nodes.kill(1)
    write(nodes, 2, range(100 + 2 * LONG, 100 + 2 * LONG + SHORT))
    nodes.start(3)
    eventually(lambda: in_sync(2, 2, 3), 30, "node 3 has caught up")
    assert SNAPSHOT in nodes.log_of(3)
    nodes.kill(2)
    write(nodes, 3, range(100 + 2 * LONG + SHORT, 200 + 2 * LONG + SHORT))
    nodes.start(1, 2)
    wait_until_equal(nodes, 200 + 2 * LONG + SHORT)
    counts = [
        nodes.client(node).post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]
        for node in (1, 2, 3)
    ]
    assert counts == [200 + 2 * LONG + SHORT] * 3

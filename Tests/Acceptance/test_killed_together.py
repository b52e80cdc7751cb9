"""More than one node at once under load: the primary and the coordinator of its writes, two of three, all. And what deletes
by filter leave behind on each replica."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster import Cluster, eventually
from conftest import COLLECTION
from replicas import assert_replicas_are_equal
from test_failover import describe
from wordnet import load
from workload import WRONG, Workload

# From the kill: processes start within a fraction of a second, and each has to catch up.
IN_SYNC_WITHIN = 10


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, sample):
    cluster = Cluster(tmp_path_factory.mktemp("together"))
    try:
        cluster.start()
        cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
        load([cluster.client(node) for node in (1, 2, 3)], COLLECTION, sample.bodies())
        cluster.wait_until_in_sync()
        yield cluster
    finally:
        cluster.stop()


def counts(cluster, filter=None):
    """The exact count as each node gives it."""
    body = {"exact": True} | ({"filter": filter} if filter else {})
    path = f"/collections/{COLLECTION}/points/count"
    return [cluster.client(node).post(path, body).expect(200)["count"] for node in (1, 2, 3)]


@pytest.mark.parametrize("victims", [(1, 2), (2, 3), (1, 2, 3)], ids=["primary and coordinator", "two of three", "all"])
def test_killed_together_all_are_in_sync_and_equal_soon(cluster, sample, victims, measured):
    """Eight clients write through all nodes, so whoever is killed was a coordinator."""
    replicas = [r for shard in cluster.shard_tables(3, COLLECTION)[0]["shards"] for r in shard["replicas"]]
    assert any(r["isPrimary"] and r["node"] in victims for r in replicas)
    first_id = 10_000_000 * (sum(victims) + 1)
    with Workload(cluster, COLLECTION, sample, seed=sum(victims), first_id=first_id) as workload:
        eventually(lambda: workload.done("write") > 100, 60, "a steady load")
        old = {node: cluster.pid(node) for node in victims}
        killed = cluster.kill(*victims)
        eventually(lambda: all(cluster.pid(n) not in (None, old[n]) for n in victims), 30, "they are started again")
        cluster.wait_until_ready()
        cluster.wait_until_in_sync()
        taken = time.monotonic() - killed
        eventually(lambda: workload.done("write", killed + taken) > 50, 60, "load afterwards")
    measured(f"nodes {victims} killed under load: every replica in sync {taken:.1f} s later")
    assert taken < IN_SYNC_WITHIN
    assert not workload.failures(WRONG), describe(workload.failures(WRONG), killed)
    for node in (1, 2, 3):
        assert workload.check_acknowledged(node) > 0
    counted = counts(cluster)
    assert counted == [assert_replicas_are_equal(cluster, COLLECTION)] * 3
    cluster.cli("cluster", "verify", "--collection", COLLECTION)


def test_deletes_by_filter_leave_the_same_on_all_replicas_also_after_a_restart(cluster):
    """Each deletes what others write at the same moment, so replicas that decided for themselves would differ."""
    ids = range(500_000_000, 500_000_400)
    path = f"/collections/{COLLECTION}/points"

    def upsert(node, round):
        points = [
            {"id": id, "vector": [1.0] * 384, "payload": {"turn": (id + round) % 4, "kind": "deleted"}} for id in ids
        ]
        cluster.client(node).put(f"{path}?wait=true", {"points": points}).expect(200)

    with ThreadPoolExecutor(4) as pool:
        for round in range(6):
            writing = [pool.submit(upsert, node, round) for node in (1, 2)]
            filter = {"must": [{"key": "turn", "match": {"value": round % 4}}, {"key": "kind", "match": {"value": "deleted"}}]}
            deleting = [
                pool.submit(lambda: cluster.client(3).post(f"{path}/delete?wait=true", {"filter": filter}).expect(200))
                for _ in range(2)
            ]
            for done in writing + deleting:
                done.result()
    cluster.wait_until_in_sync()
    before = assert_replicas_are_equal(cluster, COLLECTION)
    cluster.stop()
    cluster.start()
    cluster.wait_until_in_sync()
    assert assert_replicas_are_equal(cluster, COLLECTION) == before
    assert counts(cluster) == [before] * 3

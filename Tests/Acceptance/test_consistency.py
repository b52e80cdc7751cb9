"""What a read may ask of replicas, and what it is told: consistency, stale and partial answers, hedges."""

import json
import math
import os
import re
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from qdrant_client import QdrantClient

from client import Client, ConnectionBroken, points_body
from cluster import eventually
from etcd import ETCD, Etcd
from unsupervised import Nodes

COLLECTION = "c"
DIMENSION = 32
POINTS = 3_000
LEASE = "replication: {leaseDuration: 60s}\n"  # a node that hangs keeps its lease: its readers get no help from failover
VECTORS = np.random.default_rng(7).standard_normal((POINTS, DIMENSION)).astype(np.float32)


@pytest.fixture
def nodes(tmp_path, request):
    made = []

    def make(**options):
        made.append(Nodes(tmp_path / f"nodes-{len(made)}", **options))
        request.node.clusters = made
        made[-1].start()
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


def fill(cluster, points=POINTS, shards=3, replicas=None):
    client = cluster.client()
    body = {"vectors": {"size": DIMENSION, "distance": "Dot"}, "shard_number": shards}
    if replicas:
        body["replication_factor"] = replicas
    client.put(f"/collections/{COLLECTION}", body).expect(200)
    for first in range(0, points, 500):
        ids = list(range(first, min(first + 500, points)))
        body = points_body(ids, VECTORS[ids], [{"number": id} for id in ids])
        client.put(f"/collections/{COLLECTION}/points?wait=true", body).expect(200)
    cluster.wait_until_in_sync()


def metric(client, name):
    text = client.get("/metrics").text.decode()
    found = re.search(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def reads(path_suffix=""):
    """Every kind of read: its name, method, path and body."""
    vector = VECTORS[5].tolist()
    base = f"/collections/{COLLECTION}/points"
    return [
        ("retrieve", base, {"ids": list(range(50)), "with_vector": True}),
        ("scroll", f"{base}/scroll", {"limit": 70}),
        ("count", f"{base}/count", {}),
        ("query", f"{base}/query", {"query": vector, "limit": 10, "params": {"exact": True}}),
        ("batch", f"{base}/query/batch", {"searches": [{"query": vector, "params": {"exact": True}}, {"limit": 3}]}),
        ("search", f"{base}/search", {"vector": vector, "limit": 10, "params": {"exact": True}}),
    ]


def live_nodes(client):
    return {node["id"] for node in client.get("/shoal/cluster").expect(200)["nodes"] if node["alive"]}


def wait_until_dead(cluster, *dead, asked=1):
    client = cluster.client(asked)
    eventually(lambda: not live_nodes(client) & set(dead), 30, f"nodes {dead} are dead")


def shard_of_node(cluster, node, asked=1):
    """The numbers of the shards with a replica on the node."""
    (table,) = cluster.client(asked).get(f"/shoal/shards?collection={COLLECTION}").expect(200)
    return sorted(s["number"] for s in table["shards"] if any(r["node"] == node for r in s["replicas"]))


@contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_every_consistency_gives_the_same_answers_at_rest(nodes):
    cluster = nodes(nodes=3, replication_factor=3)
    fill(cluster)
    client = cluster.client()
    for name, path, body in reads():
        expected = client.post(path, body).expect(200)
        for consistency in ("majority", "quorum", "all", "1", "2", "3", "7"):
            answer = client.post(f"{path}?consistency={consistency}", body)
            assert answer.expect(200) == expected, f"{name} with {consistency}"
            assert "stale" not in answer.json and "partial" not in answer.json
        stale = client.post(f"{path}?consistency=stale", body)
        assert stale.expect(200) == expected
        assert stale.json["stale"] is True and stale.headers["shoal-stale"] == "true"
        for bad in ("0", "most", "-3"):
            refused = client.post(f"{path}?consistency={bad}", body)
            assert refused.status == 400 and "consistency" in refused.error and "quorum" in refused.error


def test_the_unmodified_client_takes_a_consistency(nodes):
    cluster = nodes(nodes=3, replication_factor=3)
    fill(cluster, points=500)
    qdrant = QdrantClient(url=cluster.urls[0], timeout=60)
    for consistency in (1, 2, "majority", "quorum", "all"):
        assert len(qdrant.retrieve(COLLECTION, [1, 2, 3], consistency=consistency)) == 3
        assert len(qdrant.scroll(COLLECTION, limit=20, consistency=consistency)[0]) == 20
        found = qdrant.query_points(COLLECTION, VECTORS[3].tolist(), limit=5, consistency=consistency, timeout=10)
        assert len(found.points) == 5
    qdrant.close()


def test_with_one_of_three_copies_dead_a_majority_answers_and_all_is_refused_by_name(nodes):
    cluster = nodes(nodes=3, replication_factor=3)
    fill(cluster)
    cluster.kill(3)
    wait_until_dead(cluster, 3)
    client = cluster.client()
    for name, path, body in reads():
        for consistency in ("1", "2", "majority", "quorum"):
            client.post(f"{path}?consistency={consistency}", body).expect(200)
        for consistency in ("all", "3"):
            began = time.monotonic()
            refused = client.post(f"{path}?consistency={consistency}", body)
            assert refused.status == 503, f"{name}: {refused.text[:300]}"
            assert re.search(r"shard \d+ of collection c: .*needs 3 .*2 are alive.*node 3", refused.error), refused.error
            assert time.monotonic() - began < 3, "it is known at once that too few are alive"
            assert refused.headers["Retry-After"]
    cluster.launch(3)
    eventually(lambda: cluster.is_ready(3), 30, "node 3 is ready")
    cluster.wait_until_in_sync()
    for _, path, body in reads():
        client.post(f"{path}?consistency=all", body).expect(200)


def test_a_shard_without_a_live_replica_fails_by_name_or_is_left_out_when_that_is_allowed(nodes):
    cluster = nodes(nodes=3, replication_factor=1)
    fill(cluster)
    lost = shard_of_node(cluster, 2)
    assert lost, "every node has a shard"
    client = cluster.client()
    whole = {name: client.post(path, body).expect(200) for name, path, body in reads()}
    cluster.kill(2)
    wait_until_dead(cluster, 2)
    for name, path, body in reads():
        refused = client.post(f"{path}?timeout=2", body)
        assert refused.status == 503, f"{name}: {refused.text[:300]}"
        assert re.search(rf"shard {lost[0]} of collection c: no in-sync replica is alive \(node 2: down\)", refused.error)
        began = time.monotonic()
        answer = client.post(f"{path}?allow_partial=true", body)
        result = answer.expect(200)
        assert answer.json["partial"] == {"missing_shards": lost}, name
        assert answer.headers["shoal-missing-shards"] == ",".join(map(str, lost))
        assert time.monotonic() - began < 2, "nobody waits for what is known to be dead"
        if name == "retrieve":
            assert 0 < len(result) < 50 and all(point in whole[name] for point in result)
        if name == "count":
            assert 0 < result["count"] < POINTS
    (table,) = client.get("/shoal/shards?collection=c").expect(200)
    cluster.launch(2)
    eventually(lambda: cluster.is_ready(2), 30, "node 2 is ready")
    for name, path, body in reads():
        answer = client.post(f"{path}?allow_partial=true", body)
        assert answer.expect(200) == whole[name] and "partial" not in answer.json


@pytest.mark.skipif(not ETCD and "SHOAL_STRICT" not in os.environ, reason="etcd is not installed")
def test_nodes_without_leases_answer_stale_reads_and_no_others(nodes, tmp_path):
    """etcd is gone, and with it the leases in the end."""
    etcd = Etcd(tmp_path / "etcd").start()
    try:
        cluster = nodes(nodes=2, replication_factor=2, settings=etcd.settings("replication: {leaseDuration: 2s}\n"))
        fill(cluster, points=600)
        etcd.kill()
        client = cluster.client(1)
        path = f"/collections/{COLLECTION}/points/count"
        refused = eventually(
            lambda: next((a for a in [client.post(f"{path}?timeout=1", {})] if a.status == 503), None), 30, "no lease is left"
        )
        assert "lease" in refused.error, refused.error
        for name, path, body in reads():
            answer = client.post(f"{path}?consistency=stale&timeout=5", body)
            assert answer.expect(200) is not None and answer.json["stale"] is True, name
            assert client.post(f"{path}?consistency=majority&timeout=1", body).status == 503, name
        assert client.post(f"/collections/{COLLECTION}/points/count?consistency=stale", {}).expect(200)["count"] == 600
    finally:
        etcd.kill()


def test_a_replica_that_is_not_in_sync_answers_stale_reads_and_no_others(nodes):
    """A write went on without node 3, and then all others died."""
    cluster = nodes(nodes=3, replication_factor=3, settings="replication: {leaseDuration: 2s}\n")
    fill(cluster, points=600)
    with stopped(cluster.pid(3)):
        wait_until_dead(cluster, 3)
        body = points_body([1_000_000], VECTORS[:1], [{"late": True}])
        cluster.client().put(f"/collections/{COLLECTION}/points?wait=true", body).expect(200)
        cluster.kill(1, 2)
    client = Client(cluster.urls[2], timeout=30)

    def refused():
        answer = client.post(f"/collections/{COLLECTION}/points/count?timeout=1", {})
        return answer.status == 503 and answer

    answer = eventually(refused, 30, "node 3 answers no plain read: it is not in sync")
    assert "shard" in answer.error or "lease" in answer.error, answer.error
    for name, path, body in reads():
        stale = client.post(f"{path}?consistency=stale", body)
        assert stale.expect(200) is not None, name
        assert stale.json["stale"] is True
        for consistency in ("1", "majority", "all"):
            assert client.post(f"{path}?consistency={consistency}&timeout=1", body).status == 503, (name, consistency)
    # What was acknowledged without it is not there: that is what the mark says.
    assert client.post(f"/collections/{COLLECTION}/points?consistency=stale", {"ids": [1_000_000]}).expect(200) == []
    assert client.post(f"/collections/{COLLECTION}/points/count?consistency=stale", {}).expect(200)["count"] == 600
    assert metric(client, "shoal_stale_reads_total") > 0


def test_reads_are_hedged_while_a_replica_hangs(nodes, measured):
    """SIGSTOP, and a lease so long that nobody fails over: only hedges help. The tail stays far below a time-out."""
    cluster = nodes(nodes=3, replication_factor=2, settings=LEASE)
    fill(cluster)
    body = {"query": VECTORS[9].tolist(), "limit": 10}
    path = f"/collections/{COLLECTION}/points/query"

    clients = [cluster.client(1), cluster.client(2)]

    def load(seconds, count=4):
        times, failures = [], []

        def run(node):
            client = Client(cluster.urls[node - 1], timeout=30)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.monotonic()
                answer = client.post(path, body)
                times.append(time.monotonic() - began)
                if answer.status != 200:
                    failures.append(answer.text[:300])

        threads = [threading.Thread(target=run, args=(1 + number % 2,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return np.array(times) * 1_000, failures

    def hedges(kind):
        return sum(metric(client, kind) for client in clients)

    quiet, failures = load(4)
    assert not failures
    before = hedges("shoal_hedged_reads_total"), hedges("shoal_hedges_won_total")
    with stopped(cluster.pid(3)):
        hung, failures = load(6)
        sent = hedges("shoal_hedged_reads_total") - before[0]
        won = hedges("shoal_hedges_won_total") - before[1]
    assert not failures, failures[:3]
    p99, worst = np.percentile(hung, 99), hung.max()
    measured(
        f"query p50/p99/max at rest {np.percentile(quiet, 50):.0f}/{np.percentile(quiet, 99):.0f}/{quiet.max():.0f} ms; "
        f"with one of three replicas hung {np.percentile(hung, 50):.0f}/{p99:.0f}/{worst:.0f} ms, {len(hung)} queries, "
        f"{sent:.0f} hedges of {3 * len(hung)} shard reads, {won:.0f} won"
    )
    assert sent > 0 and won > 0
    # Ten in a hundred, and what was saved up on two nodes.
    assert sent <= 0.1 * 3 * len(hung) + 2 * 16 + 2
    assert p99 < max(300, 10 * np.percentile(quiet, 99)), f"p99 {p99:.0f} ms"
    assert worst < 5_000


def test_a_query_ends_in_time_when_its_only_replica_hangs(nodes):
    cluster = nodes(nodes=2, replication_factor=1, shards=2, settings=LEASE)
    fill(cluster, points=500, shards=2)
    client = cluster.client(1)
    with stopped(cluster.pid(2)):
        for name, path, body in reads():
            began = time.monotonic()
            answer = client.post(f"{path}?timeout=1", body)
            took = time.monotonic() - began
            assert answer.status == 504, f"{name}: {answer.status} {answer.text[:300]}"
            assert "shard" in answer.error and "`timeout` is 1 s" in answer.error, answer.error
            assert 0.9 < took < 3, f"{name} took {took:.2f} s"
            partial = client.post(f"{path}?timeout=1&allow_partial=true", body)
            assert partial.expect(200) is not None and len(partial.json["partial"]["missing_shards"]) == 1
    for bad in ("0", "-1", "x", "1.5", "3601"):
        answer = client.post(f"/collections/{COLLECTION}/points/count?timeout={bad}", {})
        assert answer.status == 400 and "timeout" in answer.error and "3600" in answer.error


def test_searches_that_nobody_waits_for_any_more_are_not_run(nodes):
    """Queries that wait for a search thread when their time is up, or when their client has gone, are dropped."""
    cluster = nodes(nodes=1, replication_factor=1, shards=1, settings="search: {threads: 1}\n")
    # Small whole numbers make short JSON: the time is to go into the searches.
    wide = np.random.default_rng(3).integers(-9, 10, (2_000, 1_024))
    client = cluster.client()
    client.put(f"/collections/{COLLECTION}", {"vectors": {"size": 1_024, "distance": "Dot"}}).expect(200)
    for first in range(0, 2_000, 200):
        ids = list(range(first, first + 200))
        client.put(f"/collections/{COLLECTION}/points?wait=true", points_body(ids, wide[ids], [{}] * 200)).expect(200)
    searches = [{"query": wide[n].tolist(), "params": {"exact": True}} for n in range(400)]
    slow = json.dumps({"searches": searches}).encode()
    began = time.monotonic()
    client.post(f"/collections/{COLLECTION}/points/query/batch", slow).expect(200)
    alone = time.monotonic() - began
    # Work for four times the second that they are given, however quick the machine.
    clients = [Client(cluster.urls[0], timeout=60) for _ in range(max(6, math.ceil(4.0 / alone)))]
    answers = [None] * len(clients)

    def run(number):
        try:
            answers[number] = clients[number].post(f"/collections/{COLLECTION}/points/query/batch?timeout=1", slow)
        except ConnectionBroken:
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer and answer.status for answer in answers]
    assert set(statuses) <= {200, 504} and 504 in statuses, statuses
    # The thread is free at once: what was refused is not worked off behind the scenes.
    began = time.monotonic()
    client.post(f"/collections/{COLLECTION}/points/query", {"query": wide[0].tolist()}).expect(200)
    assert time.monotonic() - began < 1.0

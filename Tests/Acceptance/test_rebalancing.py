"""Nodes join, are drained and removed, replication factors change, while clients query and write; nobody notices, and
whatever is interrupted goes on or is undone."""

import json
import time

import pytest

from client import ConnectionBroken, points_body
from cluster import eventually
from conftest import COLLECTION
from growing import Growing
from replicas import assert_replicas_are_equal
from wordnet import load
from workload import BROKEN, UNAVAILABLE, WRONG, Workload

SHARDS = 6
# Slow enough that an operation can be met on its way.
SLOWLY = ("--max-bytes-per-second", "1MiB")


@pytest.fixture
def grow(tmp_path, request):
    """Makes clusters of three nodes that belong to one test, started, with the sample loaded; then the named ones join."""
    made = []
    request.node.clusters = made

    def make(sample, *joined, **options):
        nodes = Growing(tmp_path / f"cluster-{len(made)}", shards=options.pop("shards", SHARDS), **options)
        made.append(nodes)
        nodes.start()
        nodes.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
        load([nodes.client(node) for node in (1, 2, 3)], COLLECTION, sample.bodies())
        if joined:
            nodes.start(*joined)
        nodes.wait_until_in_sync()
        return nodes

    yield make
    for nodes in made:
        nodes.stop()


def shards_of(nodes, through=1):
    (table,) = nodes.shard_tables(through, COLLECTION)
    return table["shards"]


def holders(shard):
    return [replica["node"] for replica in shard["replicas"]]


def replica_counts(nodes, through=1):
    found = [node for shard in shards_of(nodes, through) for node in holders(shard)]
    return {node: found.count(node) for node in set(found)}


def count(nodes, through=1):
    path = f"/collections/{COLLECTION}/points/count"
    return nodes.client(through).post(path, {"exact": True}).expect(200)["count"]


def operations(nodes, through=1):
    return nodes.client(through).get("/shoal/operations").expect(200)


def operation(nodes, id, through=1):
    return next(found for found in operations(nodes, through) if found["id"] == id)


def steps_of(nodes, id, through=1):
    return [found for found in operations(nodes, through) if found.get("parent") == id]


def begin(nodes, body, through=1):
    return nodes.client(through).post("/shoal/operations", body).expect(200)["id"]


def settled(nodes, id, through=1, within=120):
    """How the operation ended."""

    def over():
        try:
            found = operation(nodes, id, through)
        except (ConnectionBroken, AssertionError, StopIteration):
            return None
        return found if found["state"] in ("done", "failed", "cancelled") else None

    found = eventually(over, within, f"operation {id} is over")
    nodes.wait_until_in_sync()
    return found


def assert_files_are_gone(nodes, node):
    """A replica's files go in the background after its record."""
    folder = nodes.folder_of(node)
    eventually(lambda: not list(folder.glob("collections/*/*")), 20, f"node {node} has no files of replicas")


def test_nodes_join_and_leave_under_load_and_nobody_notices(grow, sample, measured):
    nodes = grow(sample)
    before = count(nodes)
    with Workload(nodes, COLLECTION, sample, clients=8) as workload:
        eventually(lambda: workload.done("query") > 200 and workload.done("write") > 50, 60, "a steady load")
        began = time.monotonic()
        for joining in (4, 5):
            nodes.start(joining)
            nodes.cli("cluster", "add", "--node", joining)
            counts = replica_counts(nodes)
            assert counts[joining] == 2 * SHARDS // joining, counts
            assert max(counts.values()) - min(counts.values()) <= 1, counts
        for leaving in (4, 5):
            nodes.cli("cluster", "drain", "--node", leaving)
            assert leaving not in replica_counts(nodes)
            assert_files_are_gone(nodes, leaving)
        status = {node["id"]: node for node in nodes.cluster_status()["nodes"]}
        assert all(status[node]["draining"] and status[node]["replicas"] == 0 for node in (4, 5)), status
        assert "drained" in nodes.cli("cluster", "status")
        for leaving in (4, 5):
            nodes.cli("cluster", "remove", "--node", leaving)
        assert [node["id"] for node in nodes.cluster_status()["nodes"]] == [1, 2, 3]
        measured(f"3 -> 4 -> 5 -> 3 nodes with {before} points: {time.monotonic() - began:.1f} s")
        since = time.monotonic()
        eventually(lambda: workload.done("write", since) > 50, 60, "load afterwards")

    # A removed node knows it, and asks for no more work.
    eventually(lambda: b"was removed" in nodes.client(4).get("/readyz").text, 20, "node 4 knows that it was removed")
    failed = workload.failures(WRONG, BROKEN, UNAVAILABLE)
    assert not failed, f"{len(failed)} requests: {failed[:5]}"
    assert workload.recall() >= 0.95
    assert count(nodes) == before + workload.check_acknowledged()
    assert assert_replicas_are_equal(nodes, COLLECTION) == count(nodes)
    # Started again, it is a new node.
    nodes.end(4)
    nodes.start(4)
    assert [node["id"] for node in nodes.cluster_status()["nodes"]] == [1, 2, 3, 4]


def test_a_plan_is_printed_with_reasons_and_nothing_is_changed(grow, sample):
    nodes = grow(sample, 4)
    before = {shard["number"]: holders(shard) for shard in shards_of(nodes)}
    for arguments in (
        ("rebalance",), ("add", "--node", 4), ("drain", "--node", 3), ("remove", "--node", 2),
        ("set-replication-factor", "--collection", COLLECTION, "--factor", 3),
        ("replicate", "--collection", COLLECTION, "--shard", 0, "--to", 4),
        ("drop-replica", "--collection", COLLECTION, "--shard", 0, "--from", before[0][0]),
    ):  # fmt: skip
        plan = json.loads(nodes.cli("cluster", *arguments, "--dry-run", "--json"))
        assert plan["steps"] and all(step["reason"] for step in plan["steps"]), arguments
        text = nodes.cli("cluster", *arguments, "--dry-run")
        assert plan["steps"][0]["reason"] in text, text
    # So small a collection is even enough by what is in it.
    for measure in ("points", "bytes", "load"):
        plan = json.loads(nodes.cli("cluster", "rebalance", "--by", measure, "--dry-run", "--json"))
        assert plan["steps"] == [] and [load["node"] for load in plan["loads"]] == [1, 2, 3, 4]
        assert "nothing to move" in nodes.cli("cluster", "rebalance", "--by", measure)
    assert {shard["number"]: holders(shard) for shard in shards_of(nodes)} == before
    assert operations(nodes) == []
    assert not any(node["draining"] for node in nodes.cluster_status()["nodes"])


def test_a_drain_goes_on_when_the_controller_is_killed(grow, sample):
    nodes = grow(sample, 4)
    nodes.cli("cluster", "rebalance")
    before = count(nodes)
    controller = next(node["id"] for node in nodes.cluster_status()["nodes"] if node["isController"])
    leaving = next(node for node in (4, 3, 2, 1) if node != controller)
    through = next(node for node in (1, 2, 3, 4) if node not in (controller, leaving))
    # What was planned is in the records: another node goes on with it.
    id = begin(nodes, {"kind": "drain", "node": leaving, "maxBytesPerSecond": 1 << 20}, through)
    eventually(
        lambda: any(step["state"] == "running" for step in steps_of(nodes, id, through)), 30, "a step is under way"
    )
    nodes.kill(controller)

    def is_followed():
        found = nodes.cluster_status(through)["nodes"]
        return any(node["isController"] and node["id"] != controller for node in found)

    eventually(is_followed, 30, "another node is the controller")
    assert operation(nodes, id, through)["state"] == "running"
    nodes.start(controller)
    ended = settled(nodes, id, through)
    assert ended["state"] == "done", ended
    assert leaving not in replica_counts(nodes, through)
    assert_files_are_gone(nodes, leaving)
    assert count(nodes, through) == before
    for shard in shards_of(nodes, through):
        assert len(holders(shard)) == 2, shard


def test_a_cancelled_drain_leaves_whole_shards_and_a_node_that_takes_replicas(grow, sample):
    nodes = grow(sample, 4)
    nodes.cli("cluster", "rebalance")
    before, held = count(nodes), replica_counts(nodes)[4]
    done = nodes.cli("cluster", "drain", "--node", 4, "--no-wait", "--json", *SLOWLY)
    id = json.loads(done)["id"]
    eventually(lambda: any(step["state"] == "done" for step in steps_of(nodes, id)), 60, "a step is done")
    assert next(node for node in nodes.cluster_status()["nodes"] if node["id"] == 4)["draining"]
    nodes.cli("cluster", "cancel", id)
    ended = settled(nodes, id)
    assert ended["state"] == "cancelled", ended
    assert all(step["state"] in ("done", "cancelled") for step in steps_of(nodes, id))
    assert not any(node["draining"] for node in nodes.cluster_status()["nodes"])
    assert replica_counts(nodes)[4] < held
    assert all(len(holders(shard)) == 2 for shard in shards_of(nodes))
    assert count(nodes) == before
    nodes.cli("cluster", "rebalance")
    assert replica_counts(nodes)[4] == held


def test_the_replicas_of_a_dead_node_are_made_anew_elsewhere_but_the_last_one_is_not_given_up(grow, sample):
    nodes = grow(sample, 4)
    nodes.cli("cluster", "rebalance")
    before = count(nodes)
    single = {"vectors": {"size": 4, "distance": "Dot"}, "replication_factor": 1, "shard_number": 4}
    nodes.client().put("/collections/single", single).expect(200)
    nodes.kill(4)
    eventually(
        lambda: not next(n for n in nodes.cluster_status()["nodes"] if n["id"] == 4)["alive"], 20, "node 4 is known as dead"
    )
    refused = nodes.cli("cluster", "remove", "--node", 4, check=False)
    assert refused.returncode == 1, refused
    assert "node 4 is down and has the only replica of single/" in refused.stderr, refused.stderr
    nodes.client().delete("/collections/single").expect(200)
    nodes.cli("cluster", "remove", "--node", 4)
    nodes.wait_until_in_sync()
    assert [node["id"] for node in nodes.cluster_status()["nodes"]] == [1, 2, 3]
    assert sum(replica_counts(nodes).values()) == 2 * SHARDS and 4 not in replica_counts(nodes)
    assert count(nodes) == before
    assert assert_replicas_are_equal(nodes, COLLECTION) == before


def test_the_replication_factor_changes_under_load(grow, sample):
    nodes = grow(sample, replication_factor=1, shards=3)
    before = count(nodes)
    with Workload(nodes, COLLECTION, sample, clients=4) as workload:
        eventually(lambda: workload.done("write") > 20, 60, "a steady load")
        for factor in (2, 3, 2):
            nodes.cli("cluster", "set-replication-factor", "--collection", COLLECTION, "--factor", factor)
            shards = shards_of(nodes)
            assert all(len(holders(shard)) == factor for shard in shards), shards
            config = nodes.client().get(f"/collections/{COLLECTION}").expect(200)["config"]
            assert config["params"]["replication_factor"] == factor
            since = time.monotonic()
            eventually(lambda: workload.done("write", since) > 20, 60, "load goes on")
    failed = workload.failures(WRONG, BROKEN, UNAVAILABLE)
    assert not failed, f"{len(failed)} requests: {failed[:5]}"
    assert count(nodes) == before + workload.check_acknowledged()
    nodes.replication_factor = 2
    assert assert_replicas_are_equal(nodes, COLLECTION) == count(nodes)
    refused = nodes.cli(
        "cluster", "set-replication-factor", "--collection", COLLECTION, "--factor", 4, check=False
    )
    assert refused.returncode == 1 and "there are 3" in refused.stderr, refused


def test_a_snapshot_keeps_to_the_limit_of_its_operation_and_brings_the_graph(grow, sample, measured):
    nodes = grow(sample, shards=1)
    nodes.wait_until_indexed()
    limit = 1 << 20
    free = next(node for node in (1, 2, 3) if node not in holders(shards_of(nodes)[0]))
    body = {"kind": "replicate", "collection": COLLECTION, "shard": 0, "to": free, "maxBytesPerSecond": limit}
    id = begin(nodes, body)
    seen = []

    def is_done():
        found = operation(nodes, id)
        if 0 < found["bytesDone"] and found["state"] == "running":
            seen.append((time.monotonic(), found["bytesDone"]))
        return found["state"] == "done"

    eventually(is_done, 120, "the replica is made")
    # The log reaches back to the beginning, and yet nothing is to be indexed again.
    replica = next(found for found in shards_of(nodes)[0]["replicas"] if found["node"] == free)
    assert replica["unindexedRows"] < 300 and replica["points"] == len(sample.ids), replica
    # Between the first and the last report of its progress.
    seconds, sent = seen[-1][0] - seen[0][0], seen[-1][1] - seen[0][1]
    measured(f"a snapshot of {sent / 2**20:.1f} MiB with a limit of 1 MiB/s: {sent / seconds / 2**20:.2f} MiB/s")
    assert sent > 4 * limit, "too little to measure"
    assert 0.5 * limit < sent / seconds < 1.3 * limit


def test_catching_up_from_the_log_keeps_to_the_limit_of_the_settings(grow, sample, measured):
    nodes = grow(sample, shards=1, settings="replication:\n  maxTransferBytesPerSecond: 1MiB\n")
    backup = next(found["node"] for found in shards_of(nodes)[0]["replicas"] if not found["isPrimary"])
    through = next(node for node in (1, 2, 3) if node != backup)
    nodes.kill(backup)
    ids = list(range(1_000_000, 1_004_000))
    client = nodes.client(through)
    for first in range(0, len(ids), 500):
        rows = sample.vectors[first : first + 500]
        body = points_body(ids[first : first + 500], rows, [{}] * len(rows))
        client.put(f"/collections/{COLLECTION}/points?wait=true", body).expect(200)
    sent = 4_000 * sample.vectors[0].nbytes
    nodes.start(backup)
    began = time.monotonic()
    nodes.wait_until_in_sync()
    rate = sent / (time.monotonic() - began)
    measured(f"a log of {sent / 2**20:.1f} MiB with a limit of 1 MiB/s: {rate / 2**20:.2f} MiB/s")
    assert 0.4 * 2**20 < rate < 1.3 * 2**20


def test_replicas_of_a_shard_are_in_different_zones(grow, sample):
    zones = ["east", "west", "east", "west", "west"]
    nodes = grow(sample, settings=f"  zones: [{', '.join(zones)}]\n")

    def assert_apart():
        for shard in shards_of(nodes):
            assert len({zones[node - 1] for node in holders(shard)}) == 2, holders(shard)

    assert_apart()
    # Node 2 is alone in its zone, and has a replica of each shard: the new one takes its share of those.
    assert replica_counts(nodes)[2] == SHARDS
    nodes.start(4)
    plan = json.loads(nodes.cli("cluster", "rebalance", "--dry-run", "--json"))
    assert all(step["from"] == 2 and step["to"] == 4 and "zone west" in step["reason"] for step in plan["steps"]), plan
    nodes.cli("cluster", "rebalance")
    assert_apart()
    assert replica_counts(nodes) == {node: SHARDS // 2 for node in (1, 2, 3, 4)}
    nodes.cli("cluster", "drain", "--node", 1)
    assert_apart()


def test_a_cluster_that_is_told_to_rebalances_by_itself(grow, sample):
    nodes = grow(sample, settings="  rebalance: automatic\n  rebalanceAfter: 1s\n")
    nodes.start(4)
    eventually(lambda: replica_counts(nodes).get(4) == 2 * SHARDS // 4, 60, "node 4 has its share")
    nodes.wait_until_in_sync()
    found = [entry for entry in operations(nodes) if entry["kind"] == "rebalance"]
    assert found and all(entry["reason"].startswith("automatic") for entry in found), found


def test_the_dialect_replicates_drops_and_removes(grow, sample):
    nodes = grow(sample, 4, shards=1)
    client, path = nodes.client(), f"/collections/{COLLECTION}/cluster"
    source = holders(shards_of(nodes)[0])[0]
    body = {"shard_id": 0, "from_peer_id": source, "to_peer_id": 4}
    held = holders(shards_of(nodes)[0])
    assert 4 not in held or pytest.skip("node 4 has a replica already")
    assert client.post(path, {"replicate_shard": body}).expect(200) is True
    eventually(lambda: 4 in holders(shards_of(nodes)[0]), 20, "the replica is recorded")
    nodes.wait_until_in_sync()
    eventually(lambda: all(entry["state"] == "done" for entry in operations(nodes)), 20, "the replication is over")
    assert client.get(path).expect(200)["shard_transfers"] == []
    refused = client.delete("/cluster/peer/4")
    assert refused.status == 400 and "holds 1 replicas" in refused.error
    assert client.post(path, {"drop_replica": {"shard_id": 0, "peer_id": 4}}).expect(200) is True
    eventually(lambda: holders(shards_of(nodes)[0]) == held, 20, "the replica is gone")
    eventually(lambda: all(entry["state"] == "done" for entry in operations(nodes)), 20, "nothing is under way")
    assert client.delete("/cluster/peer/4").expect(200) is True
    assert "4" not in client.get("/cluster").expect(200)["peers"]

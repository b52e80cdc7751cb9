"""Shards move between nodes while eight clients query and write, and nobody notices."""

import json

import pytest

from cluster import eventually
from conftest import COLLECTION
from replicas import assert_replicas_are_equal
from workload import BROKEN, UNAVAILABLE, WRONG, Workload

FIRST_WRITTEN = 100_000_000


@pytest.fixture(scope="module")
def loaded_cluster(wordnet_cluster):
    wordnet_cluster.wait_until_in_sync()
    return wordnet_cluster


def shards_of(cluster):
    tables = json.loads(cluster.cli("cluster", "shards", "--json"))
    return {shard["number"]: shard for table in tables if table["collection"] == COLLECTION for shard in table["shards"]}


def nodes_of(shard):
    return {replica["node"] for replica in shard["replicas"]}


def count(cluster):
    return cluster.client().post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]


@pytest.mark.parametrize("role", ["primary", "backup"])
def test_a_move_under_load_fails_no_request_and_loses_no_write(loaded_cluster, wordnet, role):
    cluster = loaded_cluster
    number, shard = next(iter(shards_of(cluster).items()))
    source = next(r["node"] for r in shard["replicas"] if r["isPrimary"] == (role == "primary"))
    target = next(node for node in (1, 2, 3) if node not in nodes_of(shard))
    count_before = count(cluster)

    first_id = FIRST_WRITTEN * (1 if role == "primary" else 2)
    with Workload(cluster, COLLECTION, wordnet, seed=target, first_id=first_id) as workload:
        eventually(lambda: workload.done("query") > 200 and workload.done("write") > 50, 60, "a steady load")
        arguments = ("--collection", COLLECTION, "--shard", number, "--from", source, "--to", target)
        cluster.cli("cluster", "move", *arguments)
        queries, writes = workload.done("query"), workload.done("write")
        eventually(
            lambda: workload.done("query") > queries + 200 and workload.done("write") > writes + 50, 60, "load afterwards"
        )

    failed = workload.failures(WRONG, BROKEN, UNAVAILABLE)
    assert not failed, f"{len(failed)} requests: {failed[:5]}"
    moved = shards_of(cluster)[number]
    assert nodes_of(moved) == nodes_of(shard) - {source} | {target}
    assert all(replica["state"] == "inSync" for replica in moved["replicas"])
    written = workload.check_acknowledged()
    assert count(cluster) == count_before + written
    assert_replicas_are_equal(cluster, COLLECTION, start=FIRST_WRITTEN)
    assert workload.recall() >= 0.95


def test_a_dry_run_prints_the_plan_and_changes_nothing(loaded_cluster):
    """Unbalances the cluster first: all replicas that can be are moved away from node 3."""
    cluster = loaded_cluster
    for number, shard in shards_of(cluster).items():
        if 3 in nodes_of(shard):
            target = next(node for node in (1, 2) if node not in nodes_of(shard))
            cluster.cli(
                "cluster", "move", "--collection", COLLECTION, "--shard", number, "--from", 3, "--to", target
            )
    before = {number: nodes_of(shard) for number, shard in shards_of(cluster).items()}
    assert all(nodes == {1, 2} for nodes in before.values())

    plan = json.loads(cluster.cli("cluster", "rebalance", "--dry-run", "--json"))
    assert plan["steps"] and all(step["reason"] and step["to"] == 3 for step in plan["steps"])
    assert cluster.cli("cluster", "rebalance", "--dry-run").count("\n") > len(plan["steps"])
    assert {number: nodes_of(shard) for number, shard in shards_of(cluster).items()} == before
    operations = cluster.client().get("/shoal/operations").expect(200)
    assert all(operation["state"] in ("done", "failed", "cancelled") for operation in operations)


def test_rebalance_carries_out_its_plan_and_then_has_nothing_to_do(loaded_cluster):
    cluster = loaded_cluster
    count_before = count(cluster)
    cluster.cli("cluster", "rebalance", timeout=300)
    loads = {node: 0 for node in (1, 2, 3)}
    for shard in shards_of(cluster).values():
        assert all(replica["state"] == "inSync" for replica in shard["replicas"])
        for node in nodes_of(shard):
            loads[node] += 1
    assert max(loads.values()) - min(loads.values()) <= 1
    assert json.loads(cluster.cli("cluster", "rebalance", "--dry-run", "--json"))["steps"] == []
    assert count(cluster) == count_before


def test_a_move_that_cannot_be_is_refused_with_its_reason(loaded_cluster):
    cluster = loaded_cluster
    number, shard = next(iter(shards_of(cluster).items()))
    holder, other = sorted(nodes_of(shard))
    outsider = next(node for node in (1, 2, 3) if node not in nodes_of(shard))
    for source, target, collection in (
        (holder, other, COLLECTION),  # the target has a replica
        (outsider, outsider, COLLECTION),  # the source has none
        (holder, 9, COLLECTION),  # no such node
        (holder, outsider, "no-such-collection"),
    ):
        body = {"collection": collection, "shard": number, "from": source, "to": target}
        answer = cluster.client().post("/shoal/move", body)
        assert 400 <= answer.status < 500 and answer.error, (body, answer.status, answer.text)
    assert nodes_of(shards_of(cluster)[number]) == nodes_of(shard)

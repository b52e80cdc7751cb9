"""A move that is interrupted under live writes: who receives, who sends or who controls it is killed, or it is cancelled.
Nothing sticks, another try works, and the count is what it was and what was written."""

import json
import time

import pytest

from client import ConnectionBroken
from cluster import eventually
from conftest import COLLECTION
from replicas import assert_replicas_are_equal
from unsupervised import Nodes
from wordnet import load
from workload import WRONG, Workload

# Slow enough that a transfer can be met on its way.
BYTES_PER_SECOND = 2 << 20


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, sample):
    made = Nodes(tmp_path_factory.mktemp("transfers"), nodes=4)
    try:
        made.start()
        client = made.client()
        client.put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
        load([made.client(node) for node in (1, 2, 3)], COLLECTION, sample.bodies())
        made.wait_until_in_sync()
        yield made
    finally:
        made.stop()


def shard(nodes, number, through):
    (table,) = nodes.shard_tables(through, COLLECTION)
    return next(found for found in table["shards"] if found["number"] == number)


def begin_move(nodes, through=1):
    """Posts a move of a primary; the operation's id and what moves where."""
    found = shard(nodes, 0, through)
    holders = [replica["node"] for replica in found["replicas"]]
    source = next(replica["node"] for replica in found["replicas"] if replica["isPrimary"])
    target = next(node for node in (4, 3, 2, 1) if node not in holders)
    body = {
        "collection": COLLECTION, "shard": 0, "from": source, "to": target, "maxBytesPerSecond": BYTES_PER_SECOND,
    }  # fmt: skip
    return nodes.client(through).post("/shoal/move", body).expect(200)["id"], source, target


def operation(nodes, id, through):
    return next(found for found in nodes.client(through).get("/shoal/operations").expect(200) if found["id"] == id)


def wait_for_transfer(nodes, target, through):
    """Until the target has begun to receive; it may have ended as well."""

    def begun():
        return any(replica["node"] == target for replica in shard(nodes, 0, through)["replicas"])

    eventually(begun, 20, "the transfer begins")
    return next(r["state"] for r in shard(nodes, 0, through)["replicas"] if r["node"] == target)


def controller(nodes, through):
    return next(node["id"] for node in nodes.cluster_status(through)["nodes"] if node["isController"])


def settle(nodes, id, through):
    """Waits until the operation is over and every replica in sync; how it ended."""

    def over():
        try:
            state = operation(nodes, id, through)["state"]
        except (ConnectionBroken, AssertionError):
            return None
        return state if state in ("done", "failed", "cancelled") else None

    state = eventually(over, 60, f"the operation is over: {nodes.client(through).get('/shoal/operations').text}")
    nodes.wait_until_in_sync(within=60)
    return state


@pytest.mark.parametrize("victim", ["receiver", "sender", "controller", "nobody: cancelled"])
def test_an_interrupted_move_leaves_nothing_behind_and_can_be_repeated(nodes, sample, victim, measured):
    before = nodes.client().post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]
    number = ["receiver", "sender", "controller", "nobody: cancelled"].index(victim)
    with Workload(nodes, COLLECTION, sample, clients=4, seed=number, first_id=10_000_000 * (number + 1)) as workload:
        eventually(lambda: workload.done("write") > 20, 60, "a steady load")
        id, source, target = begin_move(nodes)
        state = wait_for_transfer(nodes, target, source)
        if victim.startswith("nobody"):
            nodes.client().delete(f"/shoal/operations/{id}").expect(200)
        else:
            chosen = {"receiver": target, "sender": source}.get(victim) or controller(nodes, source)
            nodes.kill(chosen)
            time.sleep(0.5)
            nodes.start(chosen)
        ended = settle(nodes, id, next(n for n in (1, 2, 3, 4) if nodes.is_ready(n)))
        holders = [replica["node"] for replica in shard(nodes, 0, 1)["replicas"]]
        assert len(holders) == 2, holders
        assert (target in holders and source not in holders) == (ended == "done"), (ended, holders)
        # Another try, to wherever the shard is not.
        again, source, target = begin_move(nodes)
        assert settle(nodes, again, 1) == "done", operation(nodes, again, 1)
        holders = [replica["node"] for replica in shard(nodes, 0, 1)["replicas"]]
        assert target in holders and source not in holders
        since = time.monotonic()
        eventually(lambda: workload.done("write", since) > 20, 60, "load afterwards")
    measured(f"a move whose {victim} went while the replica was {state}: {ended}")
    assert not workload.failures(WRONG), workload.failures(WRONG)[:3]
    written = workload.check_acknowledged()
    after = nodes.client().post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]
    # Writes that got no answer may have happened or not.
    assert before + written <= after <= before + written + len(workload.uncertain)
    assert assert_replicas_are_equal(nodes, COLLECTION) == after
    left = json.loads(nodes.cli("cluster", "operations", "--json"))
    assert all(found["state"] in ("done", "failed", "cancelled") for found in left), left
    for node in range(1, 5):
        assert not list(nodes.folder_of(node).glob("transfers/*")), "files of a transfer are left over"
        assert not list(nodes.folder_of(node).glob("collections/*/*.incoming")), "a torn snapshot is left over"

"""`durability: interval` and machines that fail before all was synced: what was acknowledged before may be lost, as asked
for; what is acknowledged afterwards is not, and replicas do not part."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cluster import eventually
from replicas import assert_replicas_are_equal
from unsupervised import Nodes

COLLECTION = "interval"
DIMENSION = 8
SETTINGS = "storage: {durability: interval, syncInterval: 60s}\n"


@pytest.fixture
def nodes(tmp_path):
    made = Nodes(tmp_path, nodes=2, replication_factor=2, shards=1, settings=SETTINGS)
    try:
        yield made
    finally:
        made.stop()


def points(ids):
    return {"points": [{"id": id, "vector": np.random.default_rng(id).random(DIMENSION).tolist()} for id in ids]}


def write(client, ids):
    return client.put(f"/collections/{COLLECTION}/points?wait=true", points(ids))


def shard(nodes):
    return nodes.shard_tables(1, COLLECTION)[0]["shards"][0]


def found_on(nodes, node):
    """The ids of the points that the node's replica has, whether they are acknowledged or not."""
    path = f"/collections/{COLLECTION}/points/scroll?replica={node}"
    answer = nodes.client(node).post(path, {"limit": 1_000})
    return {point["id"] for point in answer.json["result"]["points"]} if answer.status == 200 else set()


def is_ready_beside(nodes, node, stopped):
    """Whether a node is ready beside one that is stopped: perhaps in a transaction of the control store, which the nodes of
    a machine share and which it may end."""
    if nodes.is_ready(node):
        return True
    os.kill(nodes.pid(stopped), signal.SIGCONT)
    os.kill(nodes.pid(stopped), signal.SIGSTOP)
    return False


def test_what_is_written_after_a_power_failure_is_not_taken_for_what_was_lost(nodes, tmp_path):
    nodes.start()
    client = nodes.client(1)
    client.put(f"/collections/{COLLECTION}", {"vectors": {"size": DIMENSION, "distance": "Dot"}}).expect(200)
    for id in range(50):
        write(client, [id]).expect(200)
    nodes.end(1, 2)
    replicas = {}
    nodes.start()
    for replica in shard(nodes)["replicas"]:
        replicas["primary" if replica["isPrimary"] else "backup"] = replica["node"]
    primary, backup = replicas["primary"], replicas["backup"]
    nodes.kill(1, 2)
    collections, kept = nodes.folder_of(primary) / "collections", tmp_path / "kept"
    shutil.copytree(collections, kept)
    nodes.start()
    for id in range(50, 60):
        write(nodes.client(1), [id]).expect(200)
    nodes.kill(1, 2)
    # The primary's disk ends before the last writes, its backup's does not.
    shutil.rmtree(collections)
    shutil.copytree(kept, collections)

    # The backup holds its lease, and does not answer before the primary has written as much as the backup has.
    opened = nodes.log_of(backup).count("Opened at sequence")
    nodes.launch(backup)
    eventually(lambda: nodes.log_of(backup).count("Opened at sequence") > opened, 30, "the backup has its files open")
    nodes.launch(primary)
    new = range(1_000, 1_030)
    with ThreadPoolExecutor(len(new)) as pool:
        with nodes.stopped(backup):
            eventually(lambda: is_ready_beside(nodes, primary, backup), 30, "the primary is ready")
            writes = [pool.submit(lambda id: write(nodes.client(primary), [id]), id) for id in new]
            eventually(lambda: found_on(nodes, primary) >= set(new), 30, "the primary has written all")
        statuses = {id: answer.result().status for id, answer in zip(new, writes)}
    eventually(lambda: all(r["state"] == "inSync" for r in shard(nodes)["replicas"]), 60, "both are in sync")
    assert_replicas_are_equal(nodes, COLLECTION)
    acknowledged = {id for id, status in statuses.items() if status == 200}
    assert acknowledged and acknowledged <= found_on(nodes, backup)

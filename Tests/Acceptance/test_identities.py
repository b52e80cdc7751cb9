"""A node comes back with a folder that is not what it left, or meets another cluster at an address: each is made good, or
refused with a message that says what to do."""

import json
import shutil

import pytest

from cluster import eventually
from replicas import assert_replicas_are_equal
from unsupervised import Nodes

COLLECTION = "identities"


@pytest.fixture
def nodes(tmp_path, request):
    made = Nodes(tmp_path / "cluster")
    request.node.clusters = [made]
    made.start()
    made.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    write(made, range(100))
    made.wait_until_in_sync()
    yield made
    made.stop()


def write(nodes, ids, through=1):
    points = [{"id": id, "vector": [id, 1, 2, 3], "payload": {"number": id}} for id in ids]
    path = f"/collections/{COLLECTION}/points?wait=true"
    eventually(lambda: nodes.client(through).put(path, {"points": points}).status == 200, 30, "a write is taken")


def is_whole(nodes, points):
    nodes.wait_until_in_sync(within=30)
    assert assert_replicas_are_equal(nodes, COLLECTION) == points


def refusal(nodes, node):
    """What a node that does not start says."""
    before = len(nodes.log_of(node))
    nodes.launch(node)
    assert nodes.ended(node) == 2
    return nodes.log_of(node)[before:]


def test_an_empty_folder_is_filled_anew(nodes):
    nodes.kill(2)
    shutil.rmtree(nodes.folder_of(2))
    nodes.start(2)
    is_whole(nodes, 100)


def test_a_folder_of_an_earlier_time_is_filled_anew(nodes, tmp_path):
    """Also when all nodes were down meanwhile, so that nobody had noticed that it was gone."""
    nodes.end(2)
    nodes.copy_folder(2, tmp_path / "copy")
    nodes.start(2)
    write(nodes, range(100, 200))
    nodes.wait_until_in_sync()
    nodes.kill(1, 2, 3)
    nodes.replace_folder(2, tmp_path / "copy")
    nodes.start(2)
    nodes.start(1, 3)
    is_whole(nodes, 200)
    assert "copy of an earlier time" in nodes.log_of(2)


def test_the_folder_of_another_node_is_refused(nodes, tmp_path):
    nodes.end(2)
    nodes.end(3)
    nodes.copy_folder(2, tmp_path / "mine")
    nodes.replace_folder(2, nodes.folder_of(3))
    told = refusal(nodes, 2)
    assert "belongs to node 3, not to node 2" in told and "a data folder of its own" in told
    nodes.replace_folder(2, tmp_path / "mine")
    nodes.start(2, 3)
    is_whole(nodes, 100)


def test_a_second_process_of_a_node_is_refused(nodes):
    """An operator starts it by hand beside the one that runs."""
    first = nodes.processes.pop(2)
    try:
        told = refusal(nodes, 2)
        assert f"runs already (pid {first.pid})" in told and "shoal down" in told, told
    finally:
        nodes.processes[2] = first
    is_whole(nodes, 100)


def test_the_folder_of_another_cluster_is_refused(nodes, tmp_path):
    nodes.end(2)
    identity = nodes.folder_of(2) / "node.json"
    mine = identity.read_text()
    identity.write_text(json.dumps(json.loads(mine) | {"clusterID": "of another time"}))
    told = refusal(nodes, 2)
    assert "belongs to cluster of another time" in told and "empty data folder" in told
    identity.write_text(mine)
    nodes.start(2)
    is_whole(nodes, 100)


def test_another_cluster_at_a_nodes_address_is_not_spoken_to(nodes, tmp_path):
    """It listens where node 2 did; no write may end up there, and the cluster goes on without the node."""
    nodes.end(2)
    other = Nodes(tmp_path / "other", nodes=2, replication_factor=1)
    other.config.write_text(other.config.read_text().replace(f": {other.rpc_port}\n", f": {nodes.rpc_port}\n"))
    try:
        # Its node 2 has the number and the address of ours.
        other.start(2)
        other.client(2).put(f"/collections/{COLLECTION}", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
        write(nodes, range(100, 200))
        count = other.client(2).post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]
        assert count == 0
        told = refusal(nodes, 2)
        assert f"{nodes.rpc_port + 10}" in told and "in use" in told, told
    finally:
        other.stop()
    nodes.start(2)
    is_whole(nodes, 200)


def test_one_damaged_shard_is_named_and_healed_beside_others_that_serve(nodes):
    nodes.end(2)
    (collection,) = (nodes.folder_of(2) / "collections").iterdir()
    victim = min((entry for entry in collection.iterdir() if entry.name.isdigit()), key=lambda entry: int(entry.name))
    (points,) = victim.glob("generation-*/points/data.mdb")
    content = bytearray(points.read_bytes())
    # Both records of the last commits: LMDB cannot open it.
    content[0:8192] = bytes(8192)
    points.write_bytes(content)
    nodes.start(2)
    write(nodes, range(100, 200), through=2)
    is_whole(nodes, 200)
    told = nodes.log_of(2)
    assert f"{COLLECTION}/{victim.name}" in told and "damaged files are put aside" in told, told

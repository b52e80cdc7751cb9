"""A backup whose points are not its primary's, though nothing else tells: it is found, named and filled anew."""

import random
import re
import struct

import lmdb
from xxhash import xxh3_64_intdigest

from cluster import eventually
from replicas import assert_replicas_are_equal
from test_life import create, upsert, vector

COLLECTION = "life"


def change_a_point(cluster, node, *, deletes):
    """Behind everybody's back: the node's replica lacks a point, or has it in another version, sealed as it should be."""
    path = next(cluster.data.glob(f"node-{node}/collections/*/0/generation-*/points"))
    environment = lmdb.open(str(path), max_dbs=16, map_size=1 << 30, lock=False)
    points = environment.open_db(b"points", create=False)
    with environment.begin(write=True, db=points) as transaction, transaction.cursor() as cursor:
        assert cursor.first()
        if deletes:
            assert cursor.delete()
        else:
            slot, version = struct.unpack("<IQ", cursor.value()[:12])
            changed = struct.pack("<IQ", slot, version + 1)
            seal = (xxh3_64_intdigest(changed) ^ xxh3_64_intdigest(cursor.key())) & 0xFFFFFFFF
            assert cursor.put(cursor.key(), changed + struct.pack("<I", seal))
    environment.close()


def replicas_of(cluster, through=1):
    return cluster.shard_tables(through, COLLECTION)[0]["shards"][0]["replicas"]


def backup_of(cluster, through=1):
    return next(r["node"] for r in replicas_of(cluster, through) if not r["isPrimary"])


def metric(cluster, name):
    """The sum over the nodes; 0 while one does not answer."""
    total = 0
    for node in range(1, cluster.nodes + 1):
        if not cluster.is_ready(node):
            return 0
        text = cluster.client(node).get("/metrics").text.decode()
        total += float(re.search(rf"^{name} (\S+)$", text, re.M)[1])
    return total


def epoch(cluster):
    return cluster.shard_tables(collection=COLLECTION)[0]["shards"][0]["epoch"]


def wait_until_healed(cluster, since):
    """One replica has left the in-sync set since that epoch, and come back."""

    def is_healed():
        shard = cluster.shard_tables(collection=COLLECTION)[0]["shards"][0]
        return shard["epoch"] >= since + 2 and all(r["state"] == "inSync" for r in shard["replicas"])

    eventually(is_healed, 60, "both are in sync again")


def diverged_cluster(new_cluster, *, deletes, settings=""):
    """Two nodes, and which of them has other points than were written."""
    choice = random.Random(46)
    cluster = new_cluster(nodes=2, replication_factor=2, shards=1, settings=settings)
    cluster.start()
    create(cluster.client(1))
    upsert(cluster.client(1), {id: vector(choice) for id in range(2_000)})
    cluster.cli("cluster", "verify")
    node = backup_of(cluster)
    cluster.stop()
    change_a_point(cluster, node, deletes=deletes)
    cluster.start()
    # The node that is up first may have gone on without the other; the last one in sync is never filled anew.
    eventually(lambda: all(r["state"] == "inSync" for r in replicas_of(cluster)), 60, "both are in sync")
    return cluster, node


def test_a_backup_with_another_version_of_a_point_is_found_by_its_primary_and_filled_anew(new_cluster):
    # Long enough that no comparison comes before the changed replica is the backup.
    settings = "replication: {compareInterval: 8s}\n"
    cluster, node = diverged_cluster(new_cluster, deletes=False, settings=settings)

    def is_backup():
        """Killed while it is not: a cluster that has only just started gives its nodes time to come back."""
        if backup_of(cluster, through=3 - node) == node:
            return True
        if cluster.is_ready(node):
            cluster.kill(node)
        return False

    eventually(is_backup, 30, "the other one is the primary")
    before = epoch(cluster)
    eventually(lambda: metric(cluster, "shoal_replica_divergences_total") >= 1, 60, "the difference is found")
    wait_until_healed(cluster, before)
    assert assert_replicas_are_equal(cluster, COLLECTION) == 2_000
    compared = metric(cluster, "shoal_replica_comparisons_total")
    eventually(lambda: metric(cluster, "shoal_replica_comparisons_total") > compared, 60, "they are compared again")
    cluster.cli("cluster", "verify")


def test_a_replica_that_contradicts_itself_is_found_whatever_its_role_and_filled_anew(new_cluster):
    cluster, node = diverged_cluster(new_cluster, deletes=True)
    before = epoch(cluster)
    result = cluster.cli("cluster", "verify", check=False)
    assert result.returncode == 1 and "`meta` counts" in result.stdout, result.stdout
    wait_until_healed(cluster, before)
    assert assert_replicas_are_equal(cluster, COLLECTION) == 2_000
    cluster.cli("cluster", "verify")


def test_one_command_fills_a_replica_anew_and_never_the_last_one(new_cluster):
    cluster = new_cluster(nodes=2, replication_factor=2, shards=1)
    cluster.start()
    choice = random.Random(47)
    create(cluster.client(1))
    upsert(cluster.client(1), {id: vector(choice) for id in range(2_000)})
    arguments = ("--collection", COLLECTION, "--shard", 0)
    for node in (1, 2):
        before = epoch(cluster)
        cluster.cli("cluster", "repair", *arguments, "--node", node)
        wait_until_healed(cluster, before)
        assert assert_replicas_are_equal(cluster, COLLECTION) == 2_000
    unknown = cluster.cli("cluster", "repair", *arguments, "--node", 9, check=False)
    assert unknown.returncode == 1 and "no node 9" in unknown.stderr

    body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 1, "replication_factor": 1}
    cluster.client(1).put("/collections/alone", body).expect(200)
    [table] = cluster.shard_tables(collection="alone")
    holder = table["shards"][0]["replicas"][0]["node"]
    last = cluster.cli("cluster", "repair", "--collection", "alone", "--shard", 0, "--node", holder, check=False)
    assert last.returncode == 1 and "no other replica" in last.stdout, last.stdout + last.stderr

"""A disk that fills up: writes are refused with a clear 507, reads go on, and writes go on when there is room again."""

import time

import numpy as np
import pytest

from client import points_body
from cluster import eventually
from single_node import SingleNode
from small_disk import SmallDisk
from unsupervised import Nodes

COLLECTION = "full"
DIMENSION, BATCH = 512, 50
DISK_BYTES, BALLAST_BYTES = 56 << 20, 20 << 20
# Longer than a node's lease lasts: a lease that could not be renewed on the full disk would end reads within it.
FULL_SECONDS = 15


def vector_of(id):
    return np.random.default_rng(id).integers(-8, 9, DIMENSION)


def batch(number):
    ids = list(range(number * BATCH, (number + 1) * BATCH))
    return ids, points_body(ids, map(vector_of, ids), [{"number": id} for id in ids])


def write(node, number):
    """The answer to the upsert of a batch; back-pressure is waited out."""
    body = batch(number)[1]
    client = node.client()

    def settled():
        answer = client.put(f"/collections/{COLLECTION}/points?wait=true", body)
        return answer if answer.status != 429 else None

    return eventually(settled, 60, "an answer other than 429")


def check_everything(node, batches, may_hold=()):
    """Every acknowledged point is there as it was written; others may only come from a write that was refused."""
    client, found, start = node.client(), {}, None
    while True:
        body = {"limit": 1_000, "offset": start, "with_payload": True, "with_vector": True}
        page = client.post(f"/collections/{COLLECTION}/points/scroll", body).expect(200)
        found |= {point["id"]: point for point in page["points"]}
        start = page.get("next_page_offset")
        if start is None:
            break
    expected = {id for number in batches for id in batch(number)[0]}
    lost = expected - set(found)
    assert not lost, f"{len(lost)} of {len(expected)} acknowledged points are lost, such as {sorted(lost)[:5]}"
    strangers = set(found) - expected - {id for number in may_hold for id in batch(number)[0]}
    assert not strangers, f"points that nobody wrote: {sorted(strangers)[:5]}"
    for id, point in found.items():
        assert point["payload"] == {"number": id} and point["vector"] == vector_of(id).tolist(), point
    counted = client.post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]
    assert counted == len(found)


def check_reads(node, batches):
    """One point of the acknowledged ones is retrieved, and found by its vector."""
    id = batch(batches[-1])[0][-1]
    client = node.client()
    got = client.post(f"/collections/{COLLECTION}/points", {"ids": [id], "with_payload": True}).expect(200)
    assert [point["payload"] for point in got] == [{"number": id}]
    body = {"query": vector_of(id).tolist(), "limit": 3}
    points = client.post(f"/collections/{COLLECTION}/points/query", body).expect(200)["points"]
    assert points[0]["id"] == id and points[0]["score"] == 0, points


@pytest.fixture
def disk(tmp_path):
    with SmallDisk(tmp_path / "disk", DISK_BYTES) as small:
        yield small


def test_a_full_disk_refuses_writes_and_loses_nothing(disk, tmp_path, measured):
    ballast = disk.outside / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    with SingleNode(tmp_path / "node", data=disk.folder / "data", prefix=disk.prefix) as node:
        node.start()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1}
        node.client().put(f"/collections/{COLLECTION}", schema).expect(200)

        acknowledged = []
        while (answer := write(node, len(acknowledged))).status == 200:
            acknowledged.append(len(acknowledged))
            assert len(acknowledged) * BATCH * DIMENSION * 4 < DISK_BYTES, "the disk never became full"
        refused = len(acknowledged)
        assert answer.status == 507, f"{answer.status}: {answer.text[:500]}"
        assert "space" in answer.error.lower(), answer.error
        measured(f"full disk: after {len(acknowledged) * BATCH:,} points a write is answered 507, {answer.error!r}")

        check_everything(node, acknowledged, may_hold=[refused])
        deadline = time.monotonic() + FULL_SECONDS
        while time.monotonic() < deadline:
            check_reads(node, acknowledged)
            assert write(node, refused).status in (200, 507)

        ballast.unlink()
        eventually(lambda: write(node, refused).status == 200, 60, f"writes go on: {node.log_end()}")
        acknowledged.append(refused)
        for number in range(refused + 1, refused + 20):
            assert write(node, number).status == 200
            acknowledged.append(number)
        check_everything(node, acknowledged)
        node.kill()
        node.start()
        check_everything(node, acknowledged)
        node.stop()


def fill_to_the_last_byte(folder):
    """Writes a file until there is not one byte left."""
    with open(folder / "filler", "wb", buffering=0) as file:
        for size in (1 << 20, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def test_a_node_starts_on_a_disk_that_is_full_to_the_last_byte(disk, tmp_path, measured):
    with SingleNode(tmp_path / "node", data=disk.folder / "data", prefix=disk.prefix) as node:
        node.start()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1}
        node.client().put(f"/collections/{COLLECTION}", schema).expect(200)
        acknowledged = list(range(5))
        for number in acknowledged:
            assert write(node, number).status == 200
        for end in (node.kill, node.stop):
            end()
            fill_to_the_last_byte(disk.outside)
            started = time.monotonic()
            node.start()
            measured(f"full disk: a node that was ended by {end.__name__} starts in {time.monotonic() - started:.1f} s")
            check_everything(node, acknowledged)
            check_reads(node, acknowledged)
            answer = write(node, len(acknowledged))
            assert answer.status == 507 and "space" in answer.error.lower(), f"{answer.status}: {answer.text[:500]}"
            check_everything(node, acknowledged)
            (disk.outside / "filler").unlink()
            eventually(lambda: write(node, len(acknowledged)).status == 200, 60, f"writes go on: {node.log_end()}")
            acknowledged.append(len(acknowledged))
            check_everything(node, acknowledged)
        node.stop()


def test_nothing_new_fits_on_a_full_disk_and_that_is_no_damage(disk, tmp_path):
    """Found by a compaction on a full disk: the files that it began could not be made, and were taken for damaged ones."""
    with SingleNode(tmp_path / "node", data=disk.folder / "data", prefix=disk.prefix) as node:
        node.start()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1}
        node.client().put(f"/collections/{COLLECTION}", schema).expect(200)
        assert write(node, 0).status == 200
        fill_to_the_last_byte(disk.outside)
        answer = node.client(timeout=30).put("/collections/another", schema)
        assert answer.status == 507 and "space" in answer.error.lower(), answer.text
        node.client().post("/shoal/compact", {"collection": COLLECTION})
        log = lambda: node.log.read_text(errors="replace")  # noqa: E731
        eventually(lambda: "a compaction failed" in log(), 60, "the compaction has met the full disk")
        check_reads(node, [0])
        assert "damaged data" not in log() and "No space left" in log(), node.log_end()
        (disk.outside / "filler").unlink()
        eventually(lambda: write(node, 1).status == 200, 60, f"writes go on: {node.log_end()}")
        node.client().put("/collections/another", schema).expect(200)
        check_everything(node, [0, 1])
        node.stop()


# Enough for new shards to begin but not for what they are to hold, and not even for that.
@pytest.mark.parametrize("room_bytes", [4 << 20, 64 << 10])
def test_a_split_that_does_not_fit_is_given_up_at_once(disk, tmp_path, measured, room_bytes):
    """Each further attempt would take from writers what is left of the disk."""
    with SingleNode(tmp_path / "node", data=disk.folder / "data", prefix=disk.prefix) as node:
        node.start()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1}
        node.client().put(f"/collections/{COLLECTION}", schema).expect(200)
        acknowledged = list(range(60))
        for number in acknowledged:
            assert write(node, number).status == 200
        ballast = disk.outside / "ballast"
        ballast.write_bytes(bytes(max(0, disk.free_bytes - room_bytes)))
        node.client().post("/shoal/split", {"collection": COLLECTION, "shard": 0}).expect(200)

        def failed():
            (operation,) = node.client().get("/shoal/operations").expect(200)
            return operation if operation["state"] == "failed" else None

        ended = eventually(failed, 60, "the split has ended")
        measured(f"full disk: a split ends with {ended['detail']!r}")
        assert "no room" in ended["detail"] and "space" in ended["detail"].lower(), ended
        assert "from the start" not in node.log.read_text(errors="replace")
        check_everything(node, acknowledged)
        ballast.unlink()
        eventually(lambda: write(node, 60).status == 200, 60, f"writes go on: {node.log_end()}")
        check_everything(node, [*acknowledged, 60])
        node.stop()


# Many points are sent as a snapshot, few as the records of the log, and at last not even an empty replica fits.
@pytest.mark.parametrize(("batches", "room_bytes"), [(60, 4 << 20), (15, 1 << 20), (15, 0)])
def test_a_move_to_a_node_without_room_fails_and_gives_the_room_back(tmp_path, measured, batches, room_bytes):
    """It said for ever that it was copying, and began anew each half second, at the cost of the node's others."""
    nodes = Nodes(tmp_path / "cluster", nodes=2, replication_factor=1, shards=1)
    with SmallDisk(nodes.folder_of(2), DISK_BYTES) as disk:
        nodes.prefixes[2] = disk.prefix
        try:
            nodes.start()
            schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1}
            nodes.client().put(f"/collections/{COLLECTION}", schema).expect(200)
            if holders(nodes) != [1]:
                assert move(nodes, 2, 1)["state"] == "done"
            for number in range(batches):
                nodes.client().put(f"/collections/{COLLECTION}/points?wait=true", batch(number)[1]).expect(200)
            ballast = disk.outside / "ballast"
            ballast.write_bytes(bytes(max(0, disk.free_bytes - room_bytes)))
            free = disk.free_bytes
            ended = move(nodes, 1, 2)
            measured(f"full disk: a move of {batches} batches to {room_bytes:,} bytes ends with {ended['detail']!r}")
            assert ended["state"] == "failed", ended
            assert "node 2 has no room" in ended["detail"] and "space" in ended["detail"].lower(), ended
            assert holders(nodes) == [1]
            assert ("Receiving a snapshot" in nodes.log_of(2)) == (batches == 60)
            eventually(lambda: disk.free_bytes > free - (128 << 10), 30, "the disk has its room back")
            ballast.unlink()
            assert move(nodes, 1, 2)["state"] == "done"
            assert holders(nodes) == [2]
            answer = nodes.client().post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)
            assert answer["count"] == batches * BATCH
            nodes.end(1, 2)
        finally:
            nodes.stop()


def test_a_merge_whose_copy_has_no_room_is_given_up(tmp_path, measured):
    """It waited for ever for the copy, and kept moves and drains from the shards."""
    nodes = Nodes(tmp_path / "cluster", nodes=2, replication_factor=2, shards=3)
    with SmallDisk(nodes.folder_of(2), DISK_BYTES) as disk:
        nodes.prefixes[2] = disk.prefix
        try:
            nodes.start()
            schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 3}
            nodes.client().put(f"/collections/{COLLECTION}", schema).expect(200)
            for number in range(20):
                nodes.client().put(f"/collections/{COLLECTION}/points?wait=true", batch(number)[1]).expect(200)
            # The node that was away keeps one primary at most, and the others' shards are filled on node 1 alone.
            nodes.kill(2)
            eventually(lambda: primaries(nodes) == [1, 1, 1], 60, "node 1 has all primaries")
            nodes.start(2)
            nodes.wait_until_in_sync()
            eventually(lambda: sorted(primaries(nodes)) == [1, 1, 2], 60, "node 2 has its share")
            shards = [number for number, node in enumerate(primaries(nodes)) if node == 1]
            ballast = disk.outside / "ballast"
            ballast.write_bytes(bytes(max(0, disk.free_bytes - (256 << 10))))
            ended = merge(nodes, shards)
            measured(f"full disk: a merge whose copy does not fit ends with {ended['detail']!r}")
            assert ended["state"] == "failed" and "node 2 has no room for a copy" in ended["detail"], ended
            ballast.unlink()
            assert merge(nodes, shards)["state"] == "done", nodes.logs()
            answer = nodes.client().post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)
            assert answer["count"] == 20 * BATCH
            nodes.end(1, 2)
        finally:
            nodes.stop()


def primaries(nodes):
    (table,) = nodes.shard_tables(1, COLLECTION)
    return [next(r["node"] for r in shard["replicas"] if r["isPrimary"]) for shard in table["shards"]]


def holders(nodes):
    (table,) = nodes.shard_tables(1, COLLECTION)
    return [replica["node"] for replica in table["shards"][0]["replicas"]]


def move(nodes, source, target):
    """Moves the only shard; the operation as it ended."""
    body = {"collection": COLLECTION, "shard": 0, "from": source, "to": target}
    return end_of(nodes, nodes.client().post("/shoal/move", body).expect(200)["id"])


def merge(nodes, shards):
    report = nodes.client().post("/shoal/merge", {"collection": COLLECTION, "shards": shards}).expect(200)
    return end_of(nodes, report["operations"][0]["id"])


def end_of(nodes, id):
    def ended():
        found = next(found for found in nodes.client().get("/shoal/operations").expect(200) if found["id"] == id)
        return found if found["state"] in ("done", "failed", "cancelled") else None

    return eventually(ended, 60, f"operation {id} has ended{nodes.logs()}")

"""Snapshots as clients take and recover them: by the official client and over REST, within a cluster and across clusters,
with kills at any moment and with all that can be wrong."""

import hashlib
import io
import json
import random
import tarfile
import threading
import time
import uuid

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from client import Client, ConnectionBroken
from cluster import eventually
from replicas import assert_replicas_are_equal, read_node
from single_node import SingleNode
from small_disk import SmallDisk
from wordnet import load

BOUNDARY = "shoal-test-boundary"
VECTORS = {"vectors": {"size": 384, "distance": "Cosine"}}


def name_of():
    return f"snap-{uuid.uuid4().hex[:8]}"


def fill(clients, sample, name, **options):
    clients[0].put(f"/collections/{name}", VECTORS | options).expect(200)
    load(clients, name, sample.bodies())


def count(client, name):
    return client.post(f"/collections/{name}/points/count", {"exact": True}).expect(200)["count"]


def recall(client, name, sample, rows=100):
    bodies = sample.query_bodies()
    found = 0.0
    for row in range(rows):
        points = client.post(f"/collections/{name}/points/query", bodies[row]).expect(200)["points"]
        found += sample.recall(row, [point["id"] for point in points])
    return found / rows


def upload(client, name, contents, **parameters):
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    body = b"".join(
        [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="snapshot"; filename="s"\r\n\r\n'.encode(),
            contents,
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        ]
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return client.request("POST", f"/collections/{name}/snapshots/upload?{query}", body, headers)


def recover(client, name, location, **options):
    return client.put(f"/collections/{name}/snapshots/recover", {"location": location, **options})


def path_on(cluster, node, name, snapshot):
    return cluster.data / f"node-{node}" / "snapshots" / name / snapshot


def nothing_is_left(folder):
    """No file of a snapshot or a transfer that was not finished, in a node's folder."""
    left = [*folder.glob("snapshots/*.partial"), *folder.glob("transfers/*"), *folder.glob("collections/*/*.incoming")]
    return not left


@pytest.fixture(scope="module")
def taken(small_cluster, sample):
    """A filled collection, and a snapshot of it on node 1: (name, description, bytes)."""
    name = name_of()
    clients = [small_cluster.client(node) for node in (1, 2, 3)]
    fill(clients, sample, name)
    small_cluster.wait_until_indexed()
    description = clients[0].post(f"/collections/{name}/snapshots", {}).expect(200)
    contents = clients[0].get(f"/collections/{name}/snapshots/{description['name']}").text
    yield name, description, contents
    clients[0].delete(f"/collections/{name}")


@pytest.fixture
def single(tmp_path):
    with SingleNode(tmp_path / "single") as node:
        node.start()
        yield node


def test_the_official_client_takes_lists_recovers_and_deletes(small_cluster, sample):
    qdrant = QdrantClient(url=small_cluster.urls[0], timeout=120)
    client, name = small_cluster.client(), name_of()
    fill([client], sample, name)
    assert qdrant.list_snapshots(name) == []
    snapshot = qdrant.create_snapshot(name)
    assert snapshot.name.startswith(f"{name}-") and snapshot.name.endswith(".snapshot")
    assert snapshot.creation_time and snapshot.size > 1 << 20
    assert qdrant.list_snapshots(name) == [snapshot]

    contents = client.get(f"/collections/{name}/snapshots/{snapshot.name}").text
    assert len(contents) == snapshot.size and hashlib.sha256(contents).hexdigest() == snapshot.checksum

    before = [read_node(small_cluster, node, name) for node in (1, 2, 3)]
    qdrant.delete(name, models.FilterSelector(filter=models.Filter(must=[])), wait=True)
    client.put(f"/collections/{name}/points?wait=true", {"points": [{"id": 10**9, "vector": [0.1] * 384}]}).expect(200)
    location = f"file://{path_on(small_cluster, 1, name, snapshot.name)}"
    assert qdrant.recover_snapshot(name, location, checksum=snapshot.checksum, priority=models.SnapshotPriority.SNAPSHOT)
    small_cluster.wait_until_in_sync()
    everything = {id: digest for copy in before for id, digest in copy.items()}
    recovered = [read_node(small_cluster, node, name) for node in (1, 2, 3)]
    assert {id: digest for copy in recovered for id, digest in copy.items()} == everything
    assert count(client, name) == len(sample.ids) == assert_replicas_are_equal(small_cluster, name)

    assert qdrant.delete_snapshot(name, snapshot.name)
    assert qdrant.list_snapshots(name) == []
    with pytest.raises(UnexpectedResponse) as absent:
        qdrant.delete_snapshot(name, snapshot.name)
    assert absent.value.status_code == 404
    qdrant.delete_collection(name)


def test_a_recovered_collection_is_the_same_on_each_replica_and_goes_on(small_cluster, sample, taken):
    name, description, contents = taken
    client, copy = small_cluster.client(2), name_of()
    indexed = {"field_name": "lexicographer_file", "field_schema": "keyword"}
    assert upload(client, copy, contents, checksum=description["checksum"]).expect(200) is True
    small_cluster.wait_until_in_sync()
    assert assert_replicas_are_equal(small_cluster, copy) == len(sample.ids) == count(client, copy)
    assert recall(client, copy, sample) >= recall(client, name, sample) - 0.005
    statuses = [
        replica
        for table in small_cluster.shard_tables(collection=copy)
        for shard in table["shards"]
        for replica in shard["replicas"]
    ]
    # The graphs came with the files: there is nothing to index.
    assert len(statuses) == 6 and all(replica["unindexedRows"] < 256 for replica in statuses)
    # It is a collection like any other: it takes writes, indexes, and snapshots.
    client.put(f"/collections/{copy}/index?wait=true", indexed).expect(200)
    client.put(f"/collections/{copy}/points?wait=true", {"points": [{"id": 10**9, "vector": [0.1] * 384}]}).expect(200)
    assert count(client, copy) == len(sample.ids) + 1 == assert_replicas_are_equal(small_cluster, copy)
    again = client.post(f"/collections/{copy}/snapshots", {}).expect(200)
    assert [s["name"] for s in client.get(f"/collections/{copy}/snapshots").expect(200)] == [again["name"]]
    # Snapshots lie on the node that took them.
    assert small_cluster.client(3).get(f"/collections/{copy}/snapshots").expect(200) == []
    client.delete(f"/collections/{copy}").expect(200)
    for node in (1, 2, 3):
        eventually(lambda: nothing_is_left(small_cluster.data / f"node-{node}"), 30, "nothing is left over")


def test_another_cluster_recovers_by_upload_and_by_url(small_cluster, sample, taken, single):
    name, description, contents = taken
    client = single.client()
    assert upload(client, "uploaded", contents, priority="snapshot").expect(200) is True
    url = f"{small_cluster.urls[0]}/collections/{name}/snapshots/{description['name']}"
    assert recover(client, "fetched", url, checksum=description["checksum"], api_key="any").expect(200) is True
    for copy in ("uploaded", "fetched"):
        assert count(client, copy) == len(sample.ids)
        assert recall(client, copy, sample) >= 0.95
        parameters = client.get(f"/collections/{copy}").expect(200)["config"]["params"]
        assert parameters["replication_factor"] == 1 and parameters["shard_number"] == 3
    assert nothing_is_left(single.data / "node-1")
    single.stop()
    single.start()
    assert count(single.client(), "uploaded") == len(sample.ids)


def test_writes_and_queries_go_on_while_a_collection_is_recovered(small_cluster, sample, taken):
    name, description, _ = taken
    client, location = small_cluster.client(), f"file://{path_on(small_cluster, 1, name, description['name'])}"
    failures, answered, stop = [], [0], threading.Event()

    def ask(node):
        own, bodies = small_cluster.client(node), sample.query_bodies()
        while not stop.is_set():
            answer = own.post(f"/collections/{name}/points/query", bodies[answered[0] % 100])
            # While the names are exchanged a request may meet the former collection: a clear 503, to be tried again.
            if answer.status not in (200, 503) or (answer.status == 200 and len(answer.json["result"]["points"]) != 10):
                failures.append((answer.status, answer.text[:300]))
            answered[0] += 1

    threads = [threading.Thread(target=ask, args=(node,)) for node in (1, 2, 3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            recover(client, name, location).expect(200)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert answered[0] > 20 and not failures, failures[:5]
    assert count(client, name) == len(sample.ids)


def test_a_snapshot_that_is_taken_under_writes_holds_what_was_acknowledged_before(small_cluster, sample):
    client, writer, name = small_cluster.client(2), small_cluster.client(3), name_of()
    fill([client], sample, name)
    written, stop = [], threading.Event()

    def write():
        while not stop.is_set():
            id = 10**9 + len(written)
            writer.put(f"/collections/{name}/points?wait=true", {"points": [{"id": id, "vector": [0.1] * 384}]}).expect(200)
            written.append(id)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        eventually(lambda: len(written) > 20, 60, "writes")
        before = len(written)
        snapshot = client.post(f"/collections/{name}/snapshots", {}).expect(200)
    finally:
        stop.set()
        thread.join()
    location = f"file://{path_on(small_cluster, 2, name, snapshot['name'])}"
    recover(client, name, location).expect(200)
    found = set(read_node(small_cluster, 1, name)) | set(read_node(small_cluster, 2, name))
    assert set(sample.ids) <= found and set(written[:before]) <= found
    assert assert_replicas_are_equal(small_cluster, name) == count(client, name)
    client.delete(f"/collections/{name}").expect(200)


def test_one_shard_can_be_taken_and_is_not_mistaken_for_a_collection(small_cluster, taken):
    name, whole, _ = taken
    client = small_cluster.client()
    qdrant = QdrantClient(url=small_cluster.urls[0], timeout=120)
    snapshot = qdrant.create_shard_snapshot(name, 1)
    assert [s.name for s in qdrant.list_shard_snapshots(name, 1)] == [snapshot.name]
    assert whole["name"] in [s["name"] for s in client.get(f"/collections/{name}/snapshots").expect(200)]
    contents = client.get(f"/collections/{name}/shards/1/snapshots/{snapshot.name}").text
    assert hashlib.sha256(contents).hexdigest() == snapshot.checksum
    with tarfile.open(fileobj=io.BytesIO(contents)) as archive:
        assert archive.getnames() == ["shards/1/points.mdb", "shards/1/index.mdb", "manifest.json"] or archive.getnames() == [
            "shards/1/index.mdb", "shards/1/points.mdb", "manifest.json",
        ]
        manifest = json.load(archive.extractfile("manifest.json"))
    assert [shard["number"] for shard in manifest["shards"]] == [1]
    answer = upload(client, name_of(), contents)
    assert answer.status == 400 and "whole" in answer.error
    answer = upload(client, name + "/shards/1/..", contents)
    assert answer.status in (400, 404)
    assert qdrant.delete_shard_snapshot(name, 1, snapshot.name)
    assert qdrant.list_shard_snapshots(name, 1) == []
    assert client.post(f"/collections/{name}/shards/7/snapshots", {}).status == 400


def test_what_is_wrong_is_named_and_changes_nothing(small_cluster, sample, taken, tmp_path):
    name, description, contents = taken
    cluster, client = small_cluster, small_cluster.client()
    folder = path_on(cluster, 1, name, "x").parent
    good = f"file://{folder / description['name']}"
    outside = tmp_path / "outside.snapshot"
    outside.write_bytes(contents)
    link = folder / "link.snapshot"
    link.symlink_to(outside)
    wrong = name_of()
    client.put(f"/collections/{wrong}", {"vectors": {"size": 8, "distance": "Cosine"}}).expect(200)
    flipped = bytearray(contents)
    flipped[len(contents) // 2] ^= 1
    mistakes = [
        (recover(client, name, good, checksum="0" * 64), "checksum"),
        (recover(client, name, good, checksum="xyz"), "checksum"),
        (recover(client, name, good, priority="replica"), "priority"),
        (recover(client, name, good, priority="mine"), "priority"),
        (recover(client, name, f"file://{outside}"), "location"),
        (recover(client, name, f"file://{link}"), "location"),
        (recover(client, name, f"file://{folder}/../../../../../../etc/passwd"), "location"),
        (recover(client, name, f"file://{folder}/absent.snapshot"), "location"),
        (recover(client, name, f"file://{folder}"), "location"),
        (recover(client, name, f"{cluster.urls[1]}/collections/{name}/snapshots/absent.snapshot"), "location"),
        (recover(client, name, "http://127.0.0.1:1/nobody.snapshot"), "location"),
        (recover(client, name, "ftp://127.0.0.1/a.snapshot"), "location"),
        (recover(client, name, "a.snapshot"), "location"),
        (recover(client, wrong, good), "384"),
        (upload(client, name, contents[: len(contents) // 2]), "manifest"),
        (upload(client, name, contents[:-2048]), "snapshot"),
        (upload(client, name, b""), "snapshot"),
        (upload(client, name, random.Random(1).randbytes(5_000_000)), "not a snapshot"),
        (upload(client, name, bytes(flipped)), "damaged"),
        (upload(client, name, contents, checksum="1" * 64), "checksum"),
        (upload(client, name, contents, priority="no"), "priority"),
    ]
    for number, (answer, word) in enumerate(mistakes):
        assert answer.status == 400, (number, answer.status, answer.text)
        assert word in answer.error, (number, answer.error)
    for path in (f"/collections/{name}/snapshots/..%2F..%2Fnode.json", f"/collections/..%2F..%2F/snapshots"):
        assert client.get(path).status == 400
    assert client.get(f"/collections/{name}/snapshots/absent.snapshot").status == 404
    assert client.get(f"/collections/{name_of()}/snapshots").status == 404
    assert client.post(f"/collections/{name_of()}/snapshots", {}).status == 404
    assert client.get("/snapshots").status == 400
    link.unlink()
    for node in (1, 2, 3):
        eventually(lambda: nothing_is_left(cluster.data / f"node-{node}"), 30, "nothing is left over")
    assert count(client, name) == len(sample.ids)
    assert count(client, wrong) == 0
    eventually(
        lambda: not [c for c in cluster.cluster_status()["collections"] if ":" in c["name"]], 30, "no half recovery"
    )
    client.delete(f"/collections/{wrong}").expect(200)


def collections_on_disk(node):
    return [path for path in (node.data / "node-1" / "collections").glob("*") if any(path.iterdir())]


def test_a_kill_while_a_snapshot_is_taken_leaves_the_collection_and_no_piece(single, sample):
    fill([single.client()], sample, "points")
    whole, chance = 0, random.Random(5)
    for _ in range(6):
        def take():
            try:
                single.client().post("/collections/points/snapshots", {})
            except ConnectionBroken:
                pass

        thread = threading.Thread(target=take)
        thread.start()
        time.sleep(chance.uniform(0, 0.4))  # the moment of the kill, wherever the snapshot then is
        single.kill()
        thread.join()
        single.start()
        client = single.client()
        assert nothing_is_left(single.data / "node-1")
        snapshots = client.get("/collections/points/snapshots").expect(200)
        for snapshot in snapshots:
            contents = client.get(f"/collections/points/snapshots/{snapshot['name']}").text
            assert hashlib.sha256(contents).hexdigest() == snapshot["checksum"]
        whole = len(snapshots)
        assert count(client, "points") == len(sample.ids)
    # A retry works.
    single.client().post("/collections/points/snapshots", {}).expect(200)
    assert len(single.client().get("/collections/points/snapshots").expect(200)) == whole + 1


def test_a_kill_while_a_collection_is_recovered_leaves_the_old_or_the_new(single, sample):
    client = single.client()
    fill([client], sample, "points")
    snapshot = client.post("/collections/points/snapshots", {}).expect(200)
    location = f"file://{single.data / 'node-1' / 'snapshots' / 'points' / snapshot['name']}"
    seen, chance = set(), random.Random(6)
    for _ in range(8):
        client = single.client()
        client.post("/collections/points/points/delete?wait=true", {"points": sample.ids[:1_000]}).expect(200)

        def restore():
            try:
                recover(single.client(), "points", location)
            except ConnectionBroken:
                pass

        thread = threading.Thread(target=restore)
        thread.start()
        time.sleep(chance.uniform(0, 0.5))  # the moment of the kill, wherever the recovery then is
        single.kill()
        thread.join()
        single.start()
        client = single.client()
        counted = count(client, "points")
        assert counted in (len(sample.ids), len(sample.ids) - 1_000)
        seen.add(counted)
        eventually(lambda: len(collections_on_disk(single)) == 1, 30, f"one collection: {collections_on_disk(single)}")
        assert nothing_is_left(single.data / "node-1")
        assert count(client, "points") == counted
        assert [c["name"] for c in client.get("/shoal/cluster").expect(200)["collections"]] == ["points"]
    recover(single.client(), "points", location).expect(200)
    assert count(single.client(), "points") == len(sample.ids)
    assert recall(single.client(), "points", sample) >= 0.95


def test_a_node_that_dies_while_its_replicas_are_filled_leaves_the_former_collection(new_cluster, sample):
    cluster = new_cluster(nodes=3)
    cluster.start()
    client = cluster.client()
    fill([client], sample, "points")
    snapshot = client.post("/collections/points/snapshots", {}).expect(200)
    client.post("/collections/points/points/delete?wait=true", {"points": sample.ids[:1_000]}).expect(200)
    location = f"file://{path_on(cluster, 1, 'points', snapshot['name'])}"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(recover(cluster.client(), "points", location)))
    thread.start()
    eventually(
        lambda: any(cluster.data.glob("node-2/collections/*/*.incoming")) or not thread.is_alive(), 30, "a transfer"
    )
    cluster.kill(2)
    thread.join()
    recovered = answers[0].status == 200
    assert recovered or answers[0].status in (503, 504), answers[0].text
    cluster.wait_until_ready()
    cluster.wait_until_in_sync()
    expected = len(sample.ids) - (0 if recovered else 1_000)
    assert count(client, "points") == expected == assert_replicas_are_equal(cluster, "points")
    recover(client, "points", location).expect(200)
    cluster.wait_until_in_sync()
    assert count(client, "points") == len(sample.ids) == assert_replicas_are_equal(cluster, "points")


def test_a_full_disk_refuses_a_snapshot_and_a_recovery_and_leaves_no_piece(tmp_path, sample):
    with SmallDisk(tmp_path / "disk", 64 << 20) as disk:
        settings = "storage:\n  pointsMapSize: 256MiB\n  indexMapSize: 256MiB\n"
        with SingleNode(tmp_path / "node", data=disk.folder / "data", prefix=disk.prefix, settings=settings) as node:
            node.start()
            client = node.client()
            client.put("/collections/points", VECTORS).expect(200)
            load([client], "points", sample.bodies(stop=3_000))
            snapshot = client.post("/collections/points/snapshots", {}).expect(200)
            contents = client.get(f"/collections/points/snapshots/{snapshot['name']}").text
            ballast = disk.outside / "ballast"
            ballast.write_bytes(bytes(max(0, disk.free_bytes - (3 << 20))))
            for answer in (client.post("/collections/points/snapshots", {}), upload(node.client(), "points", contents)):
                assert answer.status == 507, (answer.status, answer.text)
                assert "space" in answer.error.lower()
            eventually(lambda: nothing_is_left(disk.outside / "data" / "node-1"), 30, "nothing is left over")
            assert count(client, "points") == 3_000
            ballast.unlink()
            client.delete(f"/collections/points/snapshots/{snapshot['name']}").expect(200)
            client.post("/collections/points/snapshots", {}).expect(200)


def test_who_does_not_wait_gets_a_202_and_the_snapshot_later(single, sample):
    client = single.client()
    fill([client], sample, "points")
    assert client.post("/collections/points/snapshots?wait=false", {}).status == 202
    snapshots = eventually(lambda: client.get("/collections/points/snapshots").expect(200), 60, "a snapshot")
    location = f"file://{single.data / 'node-1' / 'snapshots' / 'points' / snapshots[0]['name']}"
    client.delete("/collections/points").expect(200)
    assert client.put("/collections/points/snapshots/recover?wait=false", {"location": location}).status == 202
    eventually(lambda: client.get("/collections/points/exists").expect(200)["exists"], 60, "the collection")
    assert count(client, "points") == len(sample.ids)


def test_the_snapshots_folder_and_an_import_folder_are_settings(tmp_path, sample):
    folder, imports = tmp_path / "kept", tmp_path / "imports"
    imports.mkdir()
    settings = f"snapshots:\n  folder: {folder}\n  importFolder: {imports}\n"
    with SingleNode(tmp_path / "node", settings=settings) as node:
        node.start()
        client = node.client()
        fill([client], sample, "points")
        snapshot = client.post("/collections/points/snapshots", {}).expect(200)
        (folder / "node-1" / "points" / snapshot["name"]).rename(imports / "moved.tar")
        assert recover(client, "points", f"file://{imports}/moved.tar").expect(200) is True
        assert count(client, "points") == len(sample.ids)


def test_shipping_files_is_quicker_than_indexing_anew(single, wordnet, measured):
    """The full set where it is there: recovered with its graph, beside the same points sent and indexed again."""
    client = single.client()
    client.put("/collections/points", VECTORS).expect(200)

    def indexed():
        info = client.get("/collections/points").expect(200)
        return info["points_count"] == len(wordnet.ids) == info["indexed_vectors_count"]

    begin = time.monotonic()
    load([single.client() for _ in range(2)], "points", wordnet.bodies())
    eventually(indexed, 600, "everything indexed")
    indexing = time.monotonic() - begin
    begin = time.monotonic()
    snapshot = client.post("/collections/points/snapshots", {}).expect(200)
    taking = time.monotonic() - begin
    location = f"file://{single.data / 'node-1' / 'snapshots' / 'points' / snapshot['name']}"
    client.delete("/collections/points").expect(200)
    begin = time.monotonic()
    recover(client, "points", location).expect(200)
    eventually(indexed, 600, "everything indexed")
    recovering = time.monotonic() - begin
    measured(
        f"snapshot of {len(wordnet.ids):,} points, {snapshot['size'] / 1e6:,.0f} MB: taken in {taking:.1f} s, recovered "
        f"with its graph in {recovering:.1f} s; sent and indexed anew in {indexing:.1f} s"
    )
    assert recall(client, "points", wordnet) >= 0.95
    assert recovering < indexing / 2

"""The life of a shard: compaction beside reads and writes, damage that is named and contained, many small collections."""

import random
import re
import threading
import time

from cluster import eventually, shoal
from client import ConnectionBroken

DIMENSION = 16
COLLECTION = "life"


def vector(choice):
    return [choice.uniform(-1, 1) for _ in range(DIMENSION)]


def create(client, name=COLLECTION, shards=1):
    body = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": shards}
    client.put(f"/collections/{name}", body).expect(200)


def upsert(client, points, name=COLLECTION):
    ids = sorted(points)
    for start in range(0, len(ids), 1_000):
        batch = [{"id": id, "vector": points[id], "payload": {"text": f"payload of {id}"}} for id in ids[start : start + 1_000]]
        client.put(f"/collections/{name}/points?wait=true", {"points": batch}).expect(200)


def delete(client, ids, name=COLLECTION):
    client.post(f"/collections/{name}/points/delete?wait=true", {"points": sorted(ids)}).expect(200)


def all_points(client, name=COLLECTION):
    found, offset = {}, None
    while True:
        body = {"limit": 1_000, "with_vector": True, "offset": offset}
        page = client.post(f"/collections/{name}/points/scroll", body).expect(200)
        found.update({point["id"]: point["vector"] for point in page["points"]})
        offset = page["next_page_offset"]
        if offset is None:
            return found


def is_same(found, expected):
    return found.keys() == expected.keys() and all(
        max(abs(a - b) for a, b in zip(found[id], expected[id])) < 1e-6 for id in expected
    )


def replicas(client, name=COLLECTION):
    tables = client.get(f"/shoal/shards?collection={name}").expect(200)
    return [replica for table in tables for shard in table["shards"] for replica in shard["replicas"]]


def is_compacted(client, name=COLLECTION):
    return all(r.get("deadRows", 1 << 30) < 256 and r.get("compaction") is None for r in replicas(client, name))


def test_replicas_are_compacted_while_reads_and_writes_go_on(new_cluster, measured):
    choice = random.Random(41)
    cluster = new_cluster(nodes=2, shards=1)
    cluster.start()
    client = cluster.client(1)
    create(client)
    points = {id: vector(choice) for id in range(8_000)}
    upsert(client, points)
    dead = choice.sample(sorted(points), 4_000)
    # Under the share at which a node compacts by itself.
    delete(client, dead[:1_500])
    points = {id: v for id, v in points.items() if id not in set(dead[:1_500])}
    before = sum(replica["bytes"] for replica in replicas(client))

    stopping, failures, latencies, written = threading.Event(), [], [], {}

    def search():
        mine, own = random.Random(42), cluster.client(2)
        while not stopping.is_set():
            start = time.monotonic()
            answer = own.post(f"/collections/{COLLECTION}/points/query", {"query": vector(mine), "limit": 10})
            latencies.append(time.monotonic() - start)
            if answer.status != 200 or len(answer.json["result"]["points"]) != 10:
                failures.append(answer.text[:300])

    def write():
        mine, own = random.Random(43), cluster.client(1)
        while not stopping.is_set():
            id, value = mine.randrange(20_000, 21_000), vector(mine)
            body = {"points": [{"id": id, "vector": value}]}
            answer = own.put(f"/collections/{COLLECTION}/points?wait=true", body)
            if answer.status != 200:
                failures.append(answer.text[:300])
            written[id] = value

    threads = [threading.Thread(target=run, daemon=True) for run in (search, write)]
    for thread in threads:
        thread.start()
    reports = client.post("/shoal/compact", {"collection": COLLECTION}).expect(200)
    assert len(reports) == 2 and all(report.get("error") is None for report in reports)
    # The writer makes more dead rows meanwhile: it is enough that those of before are gone.
    eventually(lambda: all(r.get("compaction") is None for r in replicas(client)), 120, "compacted")
    stopping.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    expected = {**points, **written}
    assert is_same(all_points(client), expected)
    latencies.sort()
    measured(f"searches beside a compaction of 8,000 rows: p99 {latencies[len(latencies) * 99 // 100] * 1000:.1f} ms")

    # A quarter and more dead: by itself.
    delete(client, dead[1_500:])
    expected = {id: v for id, v in expected.items() if id not in set(dead)}
    eventually(lambda: is_compacted(client), 120, "the nodes compact by themselves")
    assert is_same(all_points(client), expected)
    after = sum(replica["bytes"] for replica in replicas(client))
    measured(f"two replicas before and after compaction: {before >> 10} and {after >> 10} KiB")
    cluster.cli("cluster", "verify", "--collection", COLLECTION)
    cluster.stop()
    for node in (1, 2):
        assert shoal("shard", "verify", cluster.data / f"node-{node}").returncode == 0


def test_a_node_killed_in_a_compaction_has_every_point_and_one_generation(new_cluster):
    choice = random.Random(44)
    cluster = new_cluster(nodes=1, replication_factor=1, shards=1)
    cluster.start()
    client = cluster.client(1)
    create(client)
    points = {id: vector(choice) for id in range(6_000)}
    upsert(client, points)
    delete(client, range(1_000))
    points = {id: v for id, v in points.items() if id >= 1_000}
    for _ in range(5):
        cluster.client(1).post("/shoal/compact", {"collection": COLLECTION}).expect(200)
        # The kill has to come at any moment of the compaction.
        time.sleep(choice.uniform(0, 0.5))
        cluster.kill(1)
        eventually(lambda: is_served(cluster), 60, "the node is back")
        assert is_same(all_points(cluster.client(1)), points)
        generations = list(cluster.data.glob("node-1/collections/*/0/generation-*"))
        assert len(generations) == 1, generations
    cluster.stop()
    assert shoal("shard", "verify", cluster.data / "node-1").returncode == 0


def is_served(cluster, name=COLLECTION):
    try:
        return cluster.client(1, timeout=5).post(f"/collections/{name}/points/count", {"exact": True}).status == 200
    except ConnectionBroken:
        return False


def test_damage_is_named_and_contained(new_cluster):
    choice = random.Random(45)
    cluster = new_cluster(nodes=1, replication_factor=1, shards=1)
    cluster.start()
    client = cluster.client(1)
    for name in ("sick", "well"):
        create(client, name)
        upsert(client, {id: vector(choice) for id in range(500)}, name)
    sick = client.get("/shoal/shards?collection=sick").expect(200)[0]["collectionID"]
    cluster.stop()
    path = next(cluster.data.glob(f"node-1/collections/{sick}/0/generation-*/points/data.mdb"))
    data = bytearray(path.read_bytes())
    # Each copy that the file has: in the log, in `payloads`, and in pages that are free.
    for match in re.finditer(b"payload of 321", bytes(data)):
        data[match.start()] ^= 0x01
    path.write_bytes(data)
    result = shoal("shard", "verify", cluster.data / "node-1")
    assert result.returncode == 1 and "payloads" in result.stdout and sick in result.stdout

    cluster.start()
    client = cluster.client(1)
    eventually(lambda: is_served(cluster, "well"), 60, "the sound collection is served")
    answer = client.post("/collections/sick/points", {"ids": [321], "with_payload": True})
    assert answer.status == 503 and "damaged" in answer.error, answer.text
    shown = eventually(lambda: [r for r in replicas(client, "sick") if r["state"] == "damaged"], 10, "named")
    assert shown[0]["damage"]
    assert "damaged" in cluster.cli("cluster", "shards")
    assert "shoal_replicas_damaged 1" in client.get("/metrics").text.decode()
    assert len(all_points(client, "well")) == 500


def test_two_hundred_small_collections_cost_a_node_next_to_nothing(new_cluster, measured):
    choice = random.Random(46)
    count = 200
    cluster = new_cluster(nodes=1, replication_factor=1, shards=1)
    cluster.start()
    client = cluster.client(1)
    for number in range(count):
        create(client, f"small-{number}")
        upsert(client, {id: vector(choice) for id in range(10)}, f"small-{number}")
    cluster.stop()
    start = time.monotonic()
    cluster.start()
    client = cluster.client(1)
    for number in range(count):
        eventually(lambda: is_served(cluster, f"small-{number}"), 60, f"small-{number} is served")
    seconds = time.monotonic() - start
    text = client.get("/metrics").text.decode()
    figures = {name: float(re.search(rf"^{name} (\S+)$", text, re.M)[1]) for name in (
        "process_resident_memory_bytes", "process_open_fds", "shoal_disk_bytes", "process_cpu_seconds_total")}
    # Not a wait for something: the stretch of time whose processor time is measured.
    time.sleep(3)
    later = client.get("/metrics").text.decode()
    cpu = float(re.search(r"^process_cpu_seconds_total (\S+)$", later, re.M)[1]) - figures["process_cpu_seconds_total"]
    measured(
        f"{count} collections of 10 points: all served {seconds:.1f} s after the start, "
        f"{figures['process_resident_memory_bytes'] / 2**20:.0f} MiB resident, {figures['process_open_fds']:.0f} descriptors, "
        f"{figures['shoal_disk_bytes'] / 2**20:.0f} MiB of files, {cpu / 3 * 100:.1f} % of a core idle"
    )
    assert seconds < 20
    assert figures["process_resident_memory_bytes"] < 60 * 2**20 + count * 2**20
    assert cpu / 3 < 0.25

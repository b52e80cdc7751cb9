"""The life of a shard: compaction beside reads and writes, damage that is named and contained, many small collections."""

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster import eventually, shoal
from client import ConnectionBroken
from single_node import SingleNode

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


def metrics(client, *names):
    text = client.get("/metrics").text.decode()
    return [float(re.search(rf"^{name} (\S+)$", text, re.M)[1]) for name in names]


def threads(pid):
    return int(re.search(r"^Threads:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def processor_share(pid, seconds):
    def ticks():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    # Not a wait for something: the stretch of time whose processor time is measured.
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def test_a_thousand_small_collections_cost_a_node_next_to_nothing(tmp_path, measured):
    count, makers = 1_000, 16
    with SingleNode(tmp_path) as node:
        node.start()
        start = time.monotonic()

        def make(number):
            choice, client = random.Random(number), node.client()
            create(client, f"small-{number}")
            upsert(client, {id: vector(choice) for id in range(10)}, f"small-{number}")
            client.close()

        with ThreadPoolExecutor(makers) as pool:
            list(pool.map(make, range(count)))
        created = time.monotonic() - start
        node.stop()

        start = time.monotonic()
        node.start()
        client = node.client()
        ready = time.monotonic() - start
        for number in range(count):
            path = f"/collections/small-{number}/points/count"
            found = eventually(lambda: (a := client.post(path, {"exact": True})).status == 200 and a, 60, path)
            assert found.json["result"]["count"] == 10
        served = time.monotonic() - start
        resident, disk, open_files = metrics(
            client, "process_resident_memory_bytes", "shoal_disk_bytes", "process_open_fds"
        )
        # Threads that opened the shards linger for some seconds.
        eventually(lambda: threads(node.process.pid) < 60, 30, f"{threads(node.process.pid)} threads")
        # For some seconds after a start everything is looked at often.
        cpu = min(processor_share(node.process.pid, seconds=3) for _ in range(5))
        measured(
            f"{count} collections of 10 points: created in {created:.0f} s by {makers} clients; after a restart ready in "
            f"{ready:.1f} s and all served in {served:.1f} s, {resident / 2**20:.0f} MiB resident, "
            f"{threads(node.process.pid)} threads, {open_files:.0f} descriptors, {disk / 2**20:.0f} MiB of files, "
            f"{cpu * 100:.1f} % of a core idle"
        )
        assert served < 60
        assert resident < 100 * 2**20 + count * 2**18
        assert cpu < 0.1
        node.stop()


def syncs(node, client, count, folder):
    """How often the node has brought files to the disk during `count` writes, one after the other."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = folder / "trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-e", "trace=fsync,fdatasync,msync", "-o", trace, "-p", str(node.process.pid)],
        stderr=subprocess.PIPE, text=True,
    )
    try:
        line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace cannot trace: {line}")
        for id in range(count):
            upsert(client, {id: [float(id)] * DIMENSION})
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
    return sum("sync(" in line for line in trace.read_text().splitlines())


@pytest.mark.parametrize("durability", ["commit", "interval"])
def test_durability_decides_when_writes_reach_the_disk(tmp_path, measured, durability):
    count = 60
    settings = f"storage:\n  durability: {durability}\n  syncInterval: 60s\n"
    with SingleNode(tmp_path, settings=settings) as node:
        node.start()
        client = node.client()
        create(client)
        upsert(client, {1_000: [0.0] * DIMENSION})
        found = syncs(node, client, count, tmp_path)
        measured(f"durability {durability}: {found} syncs for {count} writes")
        # Checkpoints of the graph sync as well, one every five seconds.
        assert found >= count if durability == "commit" else found < count // 4
        # A killed process loses nothing either way.
        node.kill()
        node.start()
        assert len(all_points(node.client())) == count + 1


def test_writers_wait_at_the_bounds_and_nothing_fails(tmp_path, measured):
    rows_bound, overlay_bound, writers, batch = 1_000, 16 << 20, 8, 200
    settings = f"storage:\n  maxUnindexedRows: {rows_bound}\n  maxOverlay: 16MiB\nindexing:\n  threads: 1\n"
    with SingleNode(tmp_path, settings=settings) as node:
        node.start()
        create(node.client())
        choice = random.Random(47)
        vectors = [vector(choice) for _ in range(24_000)]

        def write(writer):
            client = node.client()
            for start in range(writer * batch, len(vectors), writers * batch):
                upsert(client, {id: vectors[id] for id in range(start, start + batch)})

        names = ("shoal_unindexed_rows", "shoal_overlay_bytes", "shoal_checkpoints_total", "shoal_checkpoint_seconds_total")
        peaks = [0.0] * len(names)
        with ThreadPoolExecutor(writers) as pool:
            writing = [pool.submit(write, writer) for writer in range(writers)]
            while not all(done.done() for done in writing):
                peaks = [max(pair) for pair in zip(peaks, metrics(node.client(), *names))]
                time.sleep(0.01)
            for done in writing:
                done.result()
        client = node.client()
        eventually(lambda: metrics(client, "shoal_unindexed_rows") == [0], 60, "indexed")
        rows, overlay, checkpoints, seconds = [max(pair) for pair in zip(peaks, metrics(client, *names))]
        measured(
            f"back-pressure: at most {rows:.0f} rows unindexed of {rows_bound}, {overlay / 2**20:.1f} MiB of overlay of "
            f"{overlay_bound >> 20}, {checkpoints:.0f} checkpoints of {seconds / max(checkpoints, 1) * 1000:.0f} ms"
        )
        # Each writer may have passed the gate just before it closed.
        assert rows_bound / 2 <= rows <= rows_bound + writers * batch
        assert overlay <= overlay_bound + (4 << 20)
        assert len(all_points(client)) == len(vectors)
        node.stop()

"""kill -9 of everything: what was acknowledged is there afterwards, and the first answer comes within a second."""

import os
import random
import signal
import subprocess
import threading
import time


from client import Client, ConnectionBroken
from cluster import BINARY, eventually, free_ports
from conftest import COLLECTION
from replicas import assert_replicas_are_equal
from wordnet import load

ROUNDS = 10


class BulkLoad:
    """Four clients that send the batches over and over and note which were acknowledged."""

    def __init__(self, cluster, batches):
        self.cluster, self.batches = cluster, batches
        self.lock, self.next = threading.Lock(), 0
        self.acknowledged = set()
        self.stopping = threading.Event()
        self.threads = []

    def start(self):
        self.stopping.clear()
        self.threads = [threading.Thread(target=self.run, args=(number % 3 + 1,), daemon=True) for number in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self, node):
        client = self.cluster.client(node, timeout=30)
        while not self.stopping.is_set():
            with self.lock:
                number = self.next
                self.next = (self.next + 1) % len(self.batches)
            ids, body = self.batches[number]
            try:
                answer = client.put(f"/collections/{COLLECTION}/points?wait=true", body)
            except ConnectionBroken:
                continue
            if answer.status == 200:
                with self.lock:
                    self.acknowledged.update(ids)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def test_ten_kills_of_all_nodes_in_a_bulk_load_lose_no_acknowledged_point(new_cluster, sample):
    seed = 20_240_501
    choice = random.Random(seed)
    cluster = new_cluster()
    cluster.start()
    cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
    bulk = BulkLoad(cluster, list(sample.bodies(batch=100)))
    for round in range(ROUNDS):
        bulk.start()
        known = len(bulk.acknowledged)
        goal = min(known + choice.randrange(100, 800), len(sample.ids))
        eventually(lambda: len(bulk.acknowledged) >= goal, 60, f"round {round} of seed {seed}: progress")
        cluster.kill(1, 2, 3)
        bulk.stop()
        cluster.wait_until_ready()
        client = cluster.client(round % 3 + 1)
        ids = sorted(bulk.acknowledged)
        found = client.post(f"/collections/{COLLECTION}/points", {"ids": ids, "with_payload": True}).expect(200)
        there = {point["id"]: point["payload"] for point in found}
        lost = [id for id in ids if there.get(id) != sample.payloads[id]]
        assert not lost, f"round {round} of seed {seed}: {len(lost)} of {len(ids)} acknowledged points lost: {lost[:5]}"
    cluster.wait_until_in_sync()
    load([cluster.client()], COLLECTION, sample.bodies())
    counted = cluster.client().post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)["count"]
    assert counted == len(sample.ids)
    assert assert_replicas_are_equal(cluster, COLLECTION) == len(sample.ids)
    bodies, client = sample.query_bodies(), cluster.client()
    found = [client.post(f"/collections/{COLLECTION}/points/query", body).expect(200)["points"] for body in bodies]
    recalls = [sample.recall(row, [point["id"] for point in points]) for row, points in enumerate(found)]
    assert sum(recalls) / len(recalls) >= 0.95


def first_answer(url, wordnet):
    """Polls the first query until it is answered, and checks the answer; when that was."""
    body = wordnet.query_bodies()[0]

    def answer():
        try:
            found = Client(url, timeout=5).post(f"/collections/{COLLECTION}/points/query", body)
        except ConnectionBroken:
            return None
        return found if found.status == 200 else None

    points = eventually(answer, 30, "a first answer").expect(200)["points"]
    arrived = time.monotonic()
    assert wordnet.recall(0, [point["id"] for point in points]) >= 0.8
    return arrived


def test_a_single_node_answers_within_a_second_of_its_start(tmp_path, wordnet, measured):
    http_port, rpc_port = free_ports(1)
    config = tmp_path / "cluster.yaml"
    config.write_text(f"cluster:\n  nodeCount: 1\n  replicationFactor: 1\n  httpPort: {http_port}\n  rpcPort: {rpc_port}\n")
    url = f"http://127.0.0.1:{http_port}"
    command = [BINARY, "serve", "--config", config, "--node", "1", "--data", tmp_path / "data"]

    def start():
        log = open(tmp_path / "serve.log", "ab")
        return time.monotonic(), subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def is_ready():
        try:
            return Client(url).get("/readyz").status == 200
        except ConnectionBroken:
            return False

    _, node = start()
    try:
        eventually(is_ready, 30, "the node is ready")
        schema = {"vectors": {"size": 384, "distance": "Cosine"}, "shard_number": 1}
        Client(url).put(f"/collections/{COLLECTION}", schema).expect(200)
        load([Client(url), Client(url)], COLLECTION, wordnet.bodies(batch=1000))
        taken = []
        # The first kill comes while rows are still being indexed; a start may not wait for that.
        for how in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            node.send_signal(how)
            node.wait(60)
            started, node = start()
            taken.append(first_answer(url, wordnet) - started)
            counted = Client(url).post(f"/collections/{COLLECTION}/points/count", {"exact": True}).expect(200)
            assert counted["count"] == len(wordnet.ids)
        measured(f"{len(wordnet.ids):,} points on one node: first answers after {', '.join(f'{seconds * 1000:.0f}' for seconds in taken)} ms from the start")
        assert max(taken) < 1.0, taken
        node.terminate()
        assert node.wait(60) == 0
    finally:
        if node.poll() is None:
            node.kill()
            node.wait()


def test_a_killed_cluster_answers_within_a_second_of_its_processes_start(wordnet_cluster, wordnet, measured):
    cluster = wordnet_cluster
    old = {node: cluster.pid(node) for node in (1, 2, 3)}
    cluster.kill(1, 2, 3)

    def started():
        pids = {node: cluster.pid(node) for node in (1, 2, 3)}
        return all(pids[node] not in (None, old[node]) for node in pids) and pids

    arrived = first_answer(cluster.urls[0], wordnet)
    pids = eventually(started, 30, "new processes")
    last_start = max(start_time(pid) for pid in pids.values())
    measured(f"three nodes killed: first answer {(arrived - last_start) * 1000:.0f} ms after the last node's start")
    assert arrived - last_start < 1.0
    cluster.wait_until_in_sync()


def start_time(pid):
    """When a process started, on time.monotonic()'s clock."""
    with open(f"/proc/{pid}/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)

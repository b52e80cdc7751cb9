"""Writes on the condition of a version, and writes that come twice under one request id, while nodes die."""

import random
import threading
import time
import uuid

import pytest

from client import ConnectionBroken
from cluster import eventually
from replicas import assert_replicas_are_equal

COLLECTION = "counters"
POINTS = f"/collections/{COLLECTION}/points"
VECTOR = [1.0, 0.0, 0.0, 0.0]
CLIENTS = 8
COUNTERS = (1, 2, 3)


def create(client, shards=3):
    body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": shards}
    client.put(f"/collections/{COLLECTION}", body).expect(200)


def point(id, payload=None, **more):
    return {"id": id, "vector": VECTOR, "payload": payload or {}, **more}


def read(client, id):
    """Payload and version; (None, 0) when there is no point."""
    found = client.post(POINTS, {"ids": [id], "with_version": True}).expect(200)
    return (found[0]["payload"], found[0]["version"]) if found else (None, 0)


def until_answered(clients, request, statuses=(200,), within=60):
    """The first answer with one of the statuses, from one node after another, to the same request."""
    deadline, turn = time.monotonic() + within, random.randrange(len(clients))
    while True:
        assert time.monotonic() < deadline, f"no answer within {within} s, at last {answer!r}"
        try:
            answer = request(clients[turn % len(clients)])
            if answer.status in statuses:
                return answer
            assert answer.status in (429, 503, 504), f"{answer.status} {answer.text[:500]}"
            answer = answer.text
        except ConnectionBroken as error:
            answer = error
        turn += 1
        time.sleep(0.02)


class Incrementer(threading.Thread):
    """Reads a counter, adds one, and writes it if nobody else did; sends again what is not answered, under one id."""

    def __init__(self, cluster, number, goal, stopping):
        super().__init__(daemon=True)
        self.clients = [cluster.client(node, timeout=10) for node in range(1, cluster.nodes + 1)]
        self.choice, self.goal, self.stopping = random.Random(number), goal, stopping
        self.done, self.conflicts, self.failure = dict.fromkeys(COUNTERS, 0), 0, None

    def run(self):
        try:
            while sum(self.done.values()) < self.goal and not self.stopping.is_set():
                self.increment(self.choice.choice(COUNTERS))
        except Exception as error:  # noqa: BLE001: shown by the test
            self.failure = error

    def increment(self, id):
        ask = {"ids": [id], "with_version": True}
        found = until_answered(self.clients, lambda client: client.post(f"{POINTS}?timeout=3", ask)).json["result"]
        count, version = (found[0]["payload"]["n"], found[0]["version"]) if found else (0, 0)
        body = {"points": [point(id, {"n": count + 1}, if_version=version)], "request_id": str(uuid.uuid4())}
        answer = until_answered(self.clients, lambda client: client.put(f"{POINTS}?timeout=3", body), (200, 409))
        if answer.status == 200:
            self.done[id] += 1
            assert answer.json["result"]["operation_id"] > version
        else:
            [conflict] = answer.json["status"]["conflicts"]
            assert conflict["point"] == id and conflict["expected"] == version != conflict["actual"], conflict
            self.conflicts += 1


def increment_together(cluster, goal, meanwhile=None):
    """The clients, when each has added `goal`, or `meanwhile` returned and each has finished what it was at."""
    stopping = threading.Event()
    workers = [Incrementer(cluster, number, goal, stopping) for number in range(CLIENTS)]
    for worker in workers:
        worker.start()
    if meanwhile:
        meanwhile(workers)
        stopping.set()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive() and worker.failure is None, repr(worker.failure)
    return workers


def check_counters(cluster, workers):
    for id in COUNTERS:
        added = sum(worker.done[id] for worker in workers)
        for node in range(1, cluster.nodes + 1):
            assert read(cluster.client(node), id)[0]["n"] == added, f"counter {id}, through node {node}"
    return sum(sum(worker.done.values()) for worker in workers), sum(worker.conflicts for worker in workers)


@pytest.fixture
def cluster(new_cluster):
    cluster = new_cluster(nodes=3, replication_factor=2, shards=3)
    cluster.start()
    create(cluster.client())
    cluster.wait_until_in_sync()
    return cluster


def primary(cluster, shard=0, through=1):
    """The shard's primary, as a node says that is up."""
    table = next(t for t in cluster.shard_tables(through, COLLECTION))
    return next(r["node"] for r in table["shards"][shard]["replicas"] if r["isPrimary"])


def test_racing_increments_lose_none(cluster, measured):
    workers = increment_together(cluster, 40)
    added, conflicts = check_counters(cluster, workers)
    assert added == 40 * CLIENTS and conflicts > 0
    measured(f"{added} increments of {len(COUNTERS)} counters by {CLIENTS} clients at once: {conflicts} conflicts, none lost")
    assert_replicas_are_equal(cluster, COLLECTION)


def test_racing_increments_lose_none_while_primaries_are_killed(cluster, measured):
    def kill_primaries(workers):
        def added():
            return sum(sum(worker.done.values()) for worker in workers)

        for turn in range(5):
            cluster.wait_until_ready()
            cluster.wait_until_in_sync()
            before = added()
            eventually(lambda: added() >= before + 10, 60, "what is killed being at work")
            cluster.kill(primary(cluster, shard=turn % 3))

    workers = increment_together(cluster, float("inf"), kill_primaries)
    cluster.wait_until_ready()
    cluster.wait_until_in_sync()
    added, conflicts = check_counters(cluster, workers)
    assert added > 50
    measured(f"{added} increments while 5 primaries were killed: {conflicts} conflicts, none lost, none doubled")
    assert_replicas_are_equal(cluster, COLLECTION)
    cluster.cli("cluster", "verify")


def test_the_same_request_through_all_nodes_at_once_is_done_once(cluster):
    for turn in range(20):
        body = {"points": [point(100 + turn, {"turn": turn})], "request_id": f"turn {turn}"}
        answers, start = [], threading.Barrier(6)

        def send(node):
            client = cluster.client(node)
            start.wait()
            answers.append(client.put(POINTS, body).expect(200)["operation_id"])

        threads = [threading.Thread(target=send, args=(number % 3 + 1,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 6 and len(set(answers)) == 1
        assert read(cluster.client(), 100 + turn) == ({"turn": turn}, answers[0])


def test_a_request_is_known_again_after_a_failover_and_after_a_restart_of_all(cluster):
    clients = [cluster.client(node) for node in (1, 2, 3)]
    body = {"points": [point(id, {"by": "the first"}) for id in range(50)]}
    send = {"method": "PUT", "path": f"{POINTS}?timeout=20", "body": body, "headers": {"Idempotency-Key": "first"}}
    first = clients[0].request(**send).expect(200)
    later = {"points": [point(id, {"by": "another"}) for id in range(50)]}
    clients[1].put(POINTS, later).expect(200)

    def assert_known():
        answer = until_answered(clients, lambda client: client.request(**send))
        assert answer.json["result"] == first
        ask = {"ids": [0, 17, 49], "with_version": True}
        found = until_answered(clients, lambda client: client.post(POINTS, ask)).json["result"]
        assert [p["payload"] for p in found] == [{"by": "another"}] * 3

    assert_known()
    for shard in range(3):
        cluster.wait_until_ready()
        cluster.wait_until_in_sync()
        cluster.kill(primary(cluster, shard))
        assert_known()
    cluster.wait_until_ready()
    cluster.stop()
    cluster.start()
    assert_known()
    # Another write under its name is refused.
    other = until_answered(
        clients, lambda client: client.request("PUT", POINTS, later, {"Idempotency-Key": "first"}), statuses=(422,))
    assert "request id" in other.error
    cluster.wait_until_in_sync()
    assert assert_replicas_are_equal(cluster, COLLECTION) == 50


def test_a_batch_whose_part_failed_is_completed_by_sending_it_again(new_cluster):
    cluster = new_cluster(nodes=2, replication_factor=1, shards=2)
    cluster.start()
    client = cluster.client(1)
    create(client, shards=2)
    assert {primary(cluster, shard) for shard in range(2)} == {1, 2}
    ids = list(range(40))
    body = {"points": [point(id, {"by": "batch"}) for id in ids], "request_id": "batch"}
    cluster.kill(2)
    failed = client.put(f"{POINTS}?timeout=1", body)
    if failed.status != 200:  # else it was started again in time
        assert failed.status in (503, 504) and "other shards may have applied" in failed.error
    eventually(lambda: cluster.is_ready(2), 60, "node 2 is back")
    there = {p["id"] for p in client.post(POINTS, {"ids": ids}).expect(200)}
    client.put(POINTS, {"points": [point(id, {"by": "another"}) for id in there]}).expect(200)
    until_answered([client, cluster.client(2)], lambda c: c.put(POINTS, body))
    found = {p["id"]: p["payload"]["by"] for p in client.post(POINTS, {"ids": ids}).expect(200)}
    assert found == {id: "another" if id in there else "batch" for id in ids}


def test_a_refused_part_leaves_its_shard_alone_and_the_answer_says_which(cluster):
    client = cluster.client()
    ids = list(range(60))
    client.put(POINTS, {"points": [point(7, {"n": 0})]}).expect(200)
    version = read(client, 7)[1]
    answer = client.put(POINTS, {"points": [point(id, {"n": 1}, if_version=0) for id in ids]})
    assert answer.status == 409, answer.text
    status = answer.json["status"]
    [conflict] = status["conflicts"]
    assert conflict == {"point": 7, "shard": conflict["shard"], "expected": 0, "actual": version}
    assert sorted([*status["applied_shards"], conflict["shard"]]) == [0, 1, 2]
    assert f"point 7: it must not exist, and it has version {version}" in answer.error
    there = {p["id"] for p in client.post(POINTS, {"ids": ids, "with_payload": False}).expect(200)}
    assert 7 in there and 20 < len(there) < 60, "two shards of three have their parts"
    assert read(client, 7) == ({"n": 0}, version)
    # A delete on conditions, by one for all ids.
    assert client.post(f"{POINTS}/delete?if_version={version + 1}", {"points": [7]}).status == 409
    client.post(f"{POINTS}/delete", {"points": [{"id": 7, "if_version": version}]}).expect(200)
    assert read(client, 7) == (None, 0)


def test_filter_deletes_and_conditional_writes_leave_the_same_on_all_replicas(cluster):
    clients, choice = [cluster.client(node) for node in (1, 2, 3)], random.Random(7)

    def work(number):
        client, dice = cluster.client(number % 3 + 1), random.Random(number)
        for _ in range(150):
            id, kind = dice.randrange(60), dice.random()
            if kind < 0.1:
                condition = {"key": "n", "range": {"lt": dice.randrange(30)}}
                client.post(f"{POINTS}/delete", {"filter": {"must": [condition]}}).expect(200)
            else:
                payload, version = read(client, id)
                if payload and kind < 0.25:
                    answer = client.post(f"{POINTS}/delete", {"points": [{"id": id, "if_version": version}]})
                else:
                    n = payload["n"] + 1 if payload else dice.randrange(40)
                    answer = client.put(POINTS, {"points": [point(id, {"n": n}, if_version=version)]})
                assert answer.status in (200, 409), answer.text

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cluster.wait_until_in_sync()
    count = assert_replicas_are_equal(cluster, COLLECTION)
    cluster.cli("cluster", "verify")
    cluster.stop()
    cluster.start()
    cluster.wait_until_in_sync()
    assert assert_replicas_are_equal(cluster, COLLECTION) == count
    cluster.cli("cluster", "verify")
    assert clients[choice.randrange(3)].post(f"{POINTS}/count", {"exact": True}).expect(200)["count"] == count


def test_versions_are_told_to_those_who_ask(cluster):
    client = cluster.client(2)
    client.put(POINTS, {"points": [point(1), point(2)]}).expect(200)
    written = client.put(POINTS, {"points": [point(1, {"n": 2})]}).expect(200)["operation_id"]
    assert read(client, 1) == ({"n": 2}, written)
    assert client.get(f"{POINTS}/1?with_version=true").expect(200)["version"] == written
    assert "version" not in client.get(f"{POINTS}/1").expect(200)
    page = client.post(f"{POINTS}/scroll", {"with_version": True}).expect(200)["points"]
    assert [p["id"] for p in page] == [1, 2] and page[0]["version"] == written
    found = client.post(f"{POINTS}/query", {"query": VECTOR, "limit": 2}).expect(200)["points"]
    assert next(p for p in found if p["id"] == 1)["version"] == written

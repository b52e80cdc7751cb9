"""Clients that query, write and read back what they wrote, and note every answer: the witness of the fault tests."""

import json
import random
import threading
import time
from dataclasses import dataclass

import numpy as np

from client import Client, ConnectionBroken, points_body

OK, UNAVAILABLE, BROKEN, WRONG = "ok", "unavailable", "broken", "wrong"


@dataclass
class Note:
    """One request: when it was sent, to which node, and what became of it."""

    kind: str
    node: int
    sent: float
    outcome: str
    seconds: float = 0.0
    detail: str = ""
    recall: float = 0.0


class Workload:
    """Eight clients by default, each alternating between queries, writes, deletes and reads of its own writes.

    Written vectors are random directions: they are far from every query, so the exact neighbours stay what they were.
    """

    def __init__(self, cluster, collection, wordnet, clients=8, seed=1, first_id=10_000_000):
        self.cluster, self.collection, self.wordnet = cluster, collection, wordnet
        self.bodies = wordnet.query_bodies()
        wordnet.payloads, wordnet.vectors, wordnet.truth, wordnet.row_of  # read before the clock runs
        self.stopping = threading.Event()
        self.workers = [_Worker(self, number, random.Random(seed * 1_000 + number), first_id) for number in range(clients)]

    def __enter__(self):
        for worker in self.workers:
            worker.thread.start()
        return self

    def __exit__(self, *failure):
        self.stopping.set()
        for worker in self.workers:
            worker.thread.join()

    @property
    def notes(self):
        return sorted((note for worker in self.workers for note in list(worker.notes)), key=lambda note: note.sent)

    @property
    def acknowledged(self):
        """id -> the payload that must be there, or None for a point whose deletion was acknowledged."""
        return {id: payload for worker in self.workers for id, payload in dict(worker.acknowledged).items()}

    @property
    def uncertain(self):
        """Ids of writes that were not answered: they may have happened or not."""
        return set().union(*(worker.uncertain for worker in self.workers))

    def done(self, kind, since=0.0):
        """How many requests of a kind that were sent after `since` succeeded."""
        return sum(1 for note in self.notes if note.kind == kind and note.outcome == OK and note.sent >= since)

    def recall(self, start=0.0, stop=float("inf")):
        found = [n.recall for n in self.notes if n.kind == "query" and n.outcome == OK and start <= n.sent < stop]
        return sum(found) / len(found) if found else 0.0

    def failures(self, *outcomes):
        return [note for note in self.notes if note.outcome in outcomes]

    def check_acknowledged(self, node=1):
        """Reads every written id back: each acknowledged write is there, each acknowledged delete too."""
        client, expected = self.cluster.client(node), self.acknowledged
        certain = [id for id in expected if id not in self.uncertain]
        for first in range(0, len(certain), 500):
            ids = certain[first : first + 500]
            found = client.post(f"/collections/{self.collection}/points", {"ids": ids, "with_payload": True}).expect(200)
            there = {point["id"]: point["payload"] for point in found}
            lost = [id for id in ids if expected[id] is not None and there.get(id) != expected[id]]
            risen = [id for id in ids if expected[id] is None and id in there]
            assert not lost, f"{len(lost)} acknowledged writes are lost or wrong, such as {lost[:5]}"
            assert not risen, f"{len(risen)} deleted points are back, such as {risen[:5]}"
        return sum(1 for id in certain if expected[id] is not None)


class _Worker:
    def __init__(self, workload, number, choice, first_id):
        self.workload, self.choice = workload, choice
        self.home = number % workload.cluster.nodes + 1
        self.clients = {node: Client(url, timeout=30) for node, url in enumerate(workload.cluster.urls, 1)}
        self.node, self.left_home = self.home, 0.0
        self.next_id = first_id + number * 100_000
        self.vectors = np.random.default_rng(number)
        self.acknowledged, self.uncertain, self.notes = {}, set(), []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        steps = [self.query, self.query, self.write, self.query, self.read_back, self.query, self.write, self.delete]
        turn = 0
        while not self.workload.stopping.is_set():
            if self.node != self.home and time.monotonic() - self.left_home > 1:
                self.node = self.home
            steps[turn % len(steps)]()
            turn += 1

    def send(self, kind, method, path, body):
        """The result of one request and its note; the result is None unless the answer was a success."""
        note = Note(kind, self.node, time.monotonic(), OK)
        self.notes.append(note)
        try:
            answer = self.clients[self.node].request(method, f"/collections/{self.workload.collection}{path}", body)
        except ConnectionBroken as error:
            note.outcome, note.detail = BROKEN, str(error)
            self.node, self.left_home = self.node % len(self.clients) + 1, time.monotonic()
            return None, note
        finally:
            note.seconds = time.monotonic() - note.sent
        if answer.status == 200:
            return answer.json["result"], note
        note.detail = f"{answer.status} {answer.text[:300]!r}"
        note.outcome = UNAVAILABLE if answer.status in (429, 503) else WRONG
        return None, note

    def query(self):
        wordnet = self.workload.wordnet
        row = self.choice.randrange(len(wordnet.queries))
        result, note = self.send("query", "POST", "/points/query", self.workload.bodies[row])
        if result is None:
            return
        points = result["points"]
        ids = [point["id"] for point in points]
        note.recall = wordnet.recall(row, ids)
        if len(set(ids)) != 10:
            note.outcome, note.detail = WRONG, f"query {row}: {len(ids)} points {ids}"
        for point in points:
            known = wordnet.payloads.get(point["id"])
            if known != point["payload"] or abs(point["score"] - wordnet.score(row, point["id"])) > 1e-4:
                note.outcome, note.detail = WRONG, f"query {row}: {point}"

    def write(self):
        """New points, and sometimes an older one again."""
        ids = [self.next_id, self.next_id + 1]
        self.next_id += 2
        if self.acknowledged and self.choice.random() < 0.3:
            ids.append(self.choice.choice(list(self.acknowledged)))
        payloads = [{"writer": self.home, "version": self.choice.randrange(10**9)} for _ in ids]
        vectors = self.vectors.standard_normal((len(ids), self.workload.wordnet.vectors.shape[1]), dtype=np.float32)
        result, _ = self.send("write", "PUT", "/points?wait=true", points_body(ids, vectors, payloads))
        self.settle(ids, dict(zip(ids, payloads)), result)

    def delete(self):
        if len(self.acknowledged) < 10:
            return
        ids = [self.choice.choice(list(self.acknowledged))]
        result, _ = self.send("write", "POST", "/points/delete?wait=true", {"points": ids})
        self.settle(ids, {ids[0]: None}, result)

    def settle(self, ids, values, result):
        if result is None:
            self.uncertain.update(ids)
            for id in ids:
                self.acknowledged.pop(id, None)
        else:
            for id in ids:
                if id not in self.uncertain:
                    self.acknowledged[id] = values[id]

    def read_back(self):
        """A point that this client wrote must be there on whichever node it asks."""
        if not self.acknowledged:
            return
        id = self.choice.choice(list(self.acknowledged))
        expected = self.acknowledged[id]
        result, note = self.send("read", "POST", "/points", {"ids": [id], "with_payload": True})
        if result is None:
            return
        there = [point["payload"] for point in result]
        if there != ([] if expected is None else [expected]):
            note.outcome, note.detail = WRONG, f"point {id}: {json.dumps(there)} instead of {json.dumps(expected)}"

"""Clients of all coordinators at once, which note what they asked and what they were told: the makers of a history."""

import random
import threading
import time
import uuid
import zlib
from math import inf

from client import Client, ConnectionBroken
from operation import COUNT, DELETE, FAILED, OK, READ, REFUSED, SWAP, UNKNOWN, WRITE, Operation

COLLECTION = "faults"
DIMENSION = 8
# Points of a group are read, counted, searched and deleted together.
GROUP = 8
# Groups that are worked on at a time, and requests after which the oldest gives way to a new one: so a point lives through
# some faults, and its history stays short enough to be checked.
ACTIVE_GROUPS, REQUESTS_A_GROUP = 12, 250
# As large as it takes for the log to be too short for a long absence.
PADDING = "x" * 3_000
# Between the requests of one client; and after one that failed, so that an outage does not fill the history with writes
# of which nobody knows what became of them.
PAUSE, PAUSE_AFTER_FAILURE = 0.01, 0.4
TIMEOUT = 6

# A write under a name is sent again, through another node, until it is answered: at most so often.
TRIES = 8

MIX = {
    "write": 18, "named write": 10, "swap": 12, "delete": 4, "named delete": 2, "delete by filter": 1, "read": 24,
    "read with versions": 6, "read of an old point": 8, "scroll": 6, "search": 7, "count": 6,
}  # fmt: skip


def vector_of(key):
    choice = random.Random(zlib.crc32(str(key).encode()))
    return [choice.uniform(-1, 1) for _ in range(DIMENSION)]


def in_group(group):
    return {"must": [{"key": "group", "match": {"value": group}}]}


class Clients:
    def __init__(self, urls, seed, count, history):
        self.urls, self.history = urls, history
        self.run = uuid.uuid4().hex[:12]
        self.lock, self.requests = threading.Lock(), 0
        self.stopping = threading.Event()
        self.failures = []
        self.workers = [_Worker(self, number, random.Random(seed * 1_000 + number)) for number in range(count)]

    def __enter__(self):
        for worker in self.workers:
            worker.thread.start()
        return self

    def __exit__(self, *failure):
        self.stopping.set()
        for worker in self.workers:
            worker.thread.join()

    @property
    def first_group(self):
        return self.requests // REQUESTS_A_GROUP

    @property
    def keys(self):
        """All that any of them may have touched."""
        return range((self.first_group + ACTIVE_GROUPS) * GROUP)

    def note(self, operations):
        lines = "".join(operation.line() + "\n" for operation in operations)
        with self.lock:
            self.history.write(lines)


class _Worker:
    def __init__(self, clients, number, choice):
        self.clients, self.number, self.choice = clients, number, choice
        self.writes = self.names = 0
        self.connections = [Client(url, TIMEOUT) for url in clients.urls]
        self.node = number % len(self.connections)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.clients.stopping.is_set():
                with self.clients.lock:
                    self.clients.requests += 1
                    first = self.clients.first_group
                group = first + self.choice.randrange(ACTIVE_GROUPS)
                key = group * GROUP + self.choice.randrange(GROUP)
                if self.choice.random() < 0.05:
                    self.node = self.choice.randrange(len(self.connections))
                succeeded = self.request(self.choice.choices([*MIX], [*MIX.values()])[0], group, key)
                if not succeeded:
                    self.node = (self.node + 1) % len(self.connections)
                self.clients.stopping.wait(PAUSE if succeeded else PAUSE_AFTER_FAILURE)
        except Exception as error:  # noqa: BLE001: shown by whoever waits for the clients
            self.clients.failures.append(error)
            raise

    def request(self, kind, group, key):
        """One request and its note; whether it succeeded."""
        if kind == "write":
            return self.write(key)
        if kind == "named write":
            return self.named_write(key)
        if kind == "swap":
            return self.swap(key)
        if kind == "named delete":
            return self.change_until_answered("/points/delete", "POST", {"points": [key]}, self.operation(DELETE, key))
        if kind == "read with versions":
            return self.versions([key]) is not None
        if kind == "delete":
            body = {"points": [key]}
            return self.change("/points/delete", "POST", body, [self.operation(DELETE, key)])
        if kind == "delete by filter":
            deletes = [self.operation(DELETE, k, through=kind) for k in range(group * GROUP, (group + 1) * GROUP)]
            return self.change("/points/delete", "POST", {"filter": in_group(group)}, deletes)
        if kind == "count":
            return self.count(group)
        if kind == "read":
            return self.read([key], "/points", {"ids": [key], "with_payload": True})
        if kind == "read of an old point":
            old = self.choice.randrange(key + 1)
            return self.read([old], "/points", {"ids": [old], "with_payload": True})
        keys = range(group * GROUP, (group + 1) * GROUP)
        body = {"filter": in_group(group), "limit": GROUP, "with_payload": True}
        if kind == "scroll":
            return self.read(keys, "/points/scroll", body)
        return self.read(keys, "/points/query", {**body, "query": vector_of(key)})

    def operation(self, kind, key, **more):
        return Operation(kind, key, time.monotonic(), client=self.number, node=self.node + 1, **more)

    def send(self, method, path, body):
        """The answer, or the reason why there is none."""
        try:
            return self.connections[self.node].request(method, f"/collections/{COLLECTION}{path}", body), ""
        except ConnectionBroken as error:
            return None, repr(error.__cause__)

    # MARK: Changes

    def new_point(self, key):
        self.writes += 1
        value = f"{self.number}-{self.writes}"
        payload = {"value": value, "group": key // GROUP, "padding": PADDING}
        return value, {"points": [{"id": key, "vector": vector_of(key), "payload": payload}]}

    def write(self, key):
        value, body = self.new_point(key)
        return self.change("/points", "PUT", body, [self.operation(WRITE, key, value=value)])

    def named_write(self, key):
        value, body = self.new_point(key)
        return self.change_until_answered("/points", "PUT", body, self.operation(WRITE, key, value=value))

    def swap(self, key):
        """Replaces, or sometimes deletes, what it has just read."""
        found = self.versions([key])
        if found is None:
            return False
        expected, version = found.get(key, (None, 0))
        # Now and then it waits, so that others come in between.
        self.clients.stopping.wait(self.choice.choice([0, 0, 0.02, 0.1]))
        if version and self.choice.random() < 0.15:
            body = {"points": [{"id": key, "if_version": version}]}
            operation = self.operation(SWAP, key, value=None, expected=expected)
            return self.change_until_answered("/points/delete", "POST", body, operation)
        value, body = self.new_point(key)
        body["points"][0]["if_version"] = version
        return self.change_until_answered("/points", "PUT", body, self.operation(SWAP, key, value=value, expected=expected))

    def change_until_answered(self, path, method, body, operation):
        """One change under a request id of its own, sent again until somebody says what became of it."""
        self.names += 1
        body = {**body, "request_id": f"{self.clients.run}-{self.number}-{self.names}"}
        outcomes = set()
        for number in range(1, TRIES + 1):
            answer, reason = self.send(method, f"{path}?wait=true&timeout=5", body)
            operation.through = f"{number} tries" if number > 1 else ""
            if answer is None:
                outcomes.add(FAILED if "ConnectionRefused" in reason else UNKNOWN)
                operation.detail = reason
            elif answer.status in (200, 409):
                operation.outcome, operation.end, operation.detail = OK, time.monotonic(), ""
                if answer.status == 409:
                    # No try before it was done, or its name would be known, and none that is late can be: the version that
                    # it expects does not come back, unless it is that of no point.
                    late = operation.expected is None and UNKNOWN in outcomes
                    operation.outcome = UNKNOWN if late else REFUSED
                    operation.end = inf if late else operation.end
                    operation.detail = answer.error[:200]
                break
            else:
                assert answer.status not in (400, 404, 422), f"{method} {path} {body}: {answer.text[:300]}"
                outcomes.add(UNKNOWN)
                operation.detail = f"{answer.status} {answer.text[:200].decode('utf-8', 'replace')}"
            self.node = (self.node + 1) % len(self.connections)
            if self.clients.stopping.wait(PAUSE_AFTER_FAILURE * self.choice.random()):
                break
        if operation.outcome == UNKNOWN and outcomes == {FAILED}:
            operation.outcome = FAILED
        self.clients.note([operation])
        return operation.outcome in (OK, REFUSED)

    def change(self, path, method, body, operations):
        answer, reason = self.send(method, f"{path}?wait=true&timeout=5", body)
        ended = time.monotonic()
        for operation in operations:
            if answer is None:
                # Nobody was there who could have taken it.
                operation.outcome = FAILED if "ConnectionRefused" in reason else UNKNOWN
                operation.detail = reason
            elif answer.status == 200:
                operation.outcome, operation.end = OK, ended
            else:
                operation.outcome = FAILED if answer.status in (400, 404) else UNKNOWN
                operation.detail = f"{answer.status} {answer.text[:200].decode('utf-8', 'replace')}"
        self.clients.note(operations)
        return answer is not None and answer.status == 200

    # MARK: Reads

    def versions(self, keys):
        """key -> value and version of the points that are there; None when there was no answer."""
        reads = [self.operation(READ, key, exact=True, through="versions") for key in keys]
        answer, reason = self.send("POST", "/points?timeout=5", {"ids": [*keys], "with_payload": True, "with_version": True})
        found = None
        if answer is not None and answer.status == 200:
            found = {point["id"]: (point["payload"]["value"], point["version"]) for point in answer.json["result"]}
        for read in reads:
            read.end, read.outcome = time.monotonic(), FAILED if found is None else OK
            read.value = (found or {}).get(read.key, (None, 0))[0]
            read.detail = reason if answer is None else "" if found is not None else f"{answer.status} {answer.text[:200]!r}"
        self.clients.note(reads)
        return found

    def read(self, keys, path, body):
        reads = [self.operation(READ, key, through=path.rpartition("/")[2]) for key in keys]
        answer, reason = self.send("POST", f"{path}?timeout=5", body)
        ended = time.monotonic()
        succeeded = answer is not None and answer.status == 200
        if succeeded:
            result = answer.json["result"]
            points = result if isinstance(result, list) else result["points"]
            found = {point["id"]: point["payload"]["value"] for point in points}
            strangers = set(found) - set(keys)
            assert not strangers, f"{path} {body} gave points that were not asked for: {strangers}"
            for read in reads:
                read.end, read.outcome, read.value = ended, OK, found.get(read.key)
        else:
            detail = reason if answer is None else f"{answer.status} {answer.text[:200].decode('utf-8', 'replace')}"
            for read in reads:
                read.detail, read.end, read.outcome = detail, ended, FAILED
        self.clients.note(reads)
        return succeeded

    def count(self, group):
        count = self.operation(COUNT, group * GROUP, last=(group + 1) * GROUP - 1)
        answer, reason = self.send("POST", "/points/count?timeout=5", {"filter": in_group(group), "exact": True})
        count.end, count.outcome = time.monotonic(), FAILED
        if answer is not None and answer.status == 200:
            count.outcome, count.value = OK, answer.json["result"]["count"]
        else:
            count.detail = reason or f"{answer.status} {answer.text[:200].decode('utf-8', 'replace')}"
        self.clients.note([count])
        return count.outcome == OK


def settled_reads(node, keys, through, replica=None):
    """Every key as a node, or its own replicas alone, have it now that nothing is under way."""
    client, found, offset, start = node.client(timeout=60), {}, None, time.monotonic()
    own = f"?replica={replica}" if replica else ""
    while True:
        body = {"limit": 500, "offset": offset, "with_payload": ["value"]}
        page = client.post(f"/collections/{COLLECTION}/points/scroll{own}", body).expect(200)
        found.update({point["id"]: point["payload"]["value"] for point in page["points"]})
        offset = page["next_page_offset"]
        if offset is None:
            break
    assert set(found) <= set(keys), f"points that nobody wrote: {sorted(set(found) - set(keys))[:5]}"
    end = time.monotonic()
    return [
        Operation(READ, key, start, end, OK, found.get(key), settled=True, node=node.number, through=through)
        for key in keys
    ]

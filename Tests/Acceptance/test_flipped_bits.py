"""A bit that flipped on the disk: a node starts all the same, never answers from what is damaged, and names it.

Each trial starts from the files of a node that was stopped, flips one bit in one page that is in use, and compares
every kind of answer with a model. An answer is right, or it is an error that says what is damaged; both are counted
in the report.
"""

import os
import random
import re
import shutil
import struct
import time

import numpy as np
import pytest

from client import ConnectionBroken, points_body
from single_node import SingleNode

COLLECTION = "flipped"
DIMENSION, POINTS, TAGS = 64, 2_000, 4
DELETED = range(100, 180)
TRIALS = int(os.environ.get("SHOAL_FLIPPED_BITS", 12))
SEED = int(os.environ.get("SHOAL_FLIP_SEED", 20_260_502))
PAGE_BYTES = 4_096
NAMES_DAMAGE = re.compile(r"checksum|damage|corrupt|quarantine", re.IGNORECASE)
PATH = f"/collections/{COLLECTION}/points"
# A replica that does not serve is asked again and again until the time of the request is over.
TIMEOUT = "timeout=1"
REFUSALS = 3


class Wrong(AssertionError):
    """An answer with status 200 that is not true, or a refusal that does not say what is damaged."""


class Refused(Exception):
    """The node has said often enough what is damaged."""


class Model:
    def __init__(self):
        self.vectors = np.random.default_rng(SEED).integers(-8, 9, (POINTS, DIMENSION))
        self.payloads = [{"number": id, "tag": f"t{id % TAGS}", "text": "y" * (id % 83)} for id in range(POINTS)]
        self.live = [id for id in range(POINTS) if id not in DELETED]

    def distances(self, query):
        return {id: float(np.linalg.norm(self.vectors[id] - query)) for id in self.live}

    def nearest(self, query, limit):
        """The exact distances, which are unambiguous where ids are not: two points may be equally far."""
        return sorted(self.distances(query).values())[:limit]


@pytest.fixture(scope="module")
def model():
    return Model()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, model):
    """A node that was stopped in good order, and the pristine copy of its files."""
    node = SingleNode(tmp_path_factory.mktemp("flipped"))
    try:
        node.start()
        client = node.client()
        schema = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 1}
        client.put(f"/collections/{COLLECTION}", schema).expect(200)
        client.put(f"/collections/{COLLECTION}/index?wait=true", {"field_name": "tag", "field_schema": "keyword"}).expect(200)
        for first in range(0, POINTS, 250):
            ids = range(first, first + 250)
            body = points_body(ids, model.vectors[first : first + 250], model.payloads[first : first + 250])
            client.put(f"{PATH}?wait=true", body).expect(200)
        client.post(f"{PATH}/delete?wait=true", {"points": list(DELETED)}).expect(200)
        node.stop()
    finally:
        node.kill()
    pristine = node.folder / "pristine"
    shutil.copytree(node.data, pristine)
    yield node, pristine
    node.kill()


def used_pages(path):
    """Pages that belong to the newest state of an LMDB file; of those, the ones with anything in them."""
    content = path.read_bytes()
    # A meta page: header (16), magic (4), version (4), address (8), map size (8), two databases (48 each), last page, id.
    metas = [struct.unpack_from("<QQ", content, page * PAGE_BYTES + 16 + 24 + 96) for page in (0, 1)]
    last_page, _ = max(metas, key=lambda meta: meta[1])
    pages = range(2, min(last_page + 1, len(content) // PAGE_BYTES))
    return [page for page in pages if any(content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])]


def flip(path, choice):
    """Flips one bit; returns where."""
    position = choice.choice(used_pages(path)) * PAGE_BYTES + choice.randrange(PAGE_BYTES)
    bit = choice.randrange(8)
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ (1 << bit)]))
    return f"bit {bit} of byte {position % PAGE_BYTES} of page {position // PAGE_BYTES} of {path.parent.name}/{path.name}"


class Trial:
    """Asks a node everything; `refusals` are its errors, each of which names the damage."""

    def __init__(self, node, model):
        self.node, self.model, self.client, self.refusals = node, model, node.client(timeout=30), []

    def ask(self, path, body):
        """The result, or None for an error that names the damage."""
        answer = self.client.post(f"{path}?{TIMEOUT}", body)
        if answer.status == 200:
            return answer.json["result"]
        if answer.status < 500 or not NAMES_DAMAGE.search(answer.error):
            raise Wrong(f"{path}: {answer.status} {answer.text[:300]}")
        self.refusals.append(answer.error)
        if len(self.refusals) == REFUSALS:
            raise Refused
        return None

    def settle(self):
        """Waits until the node answers, or says why it does not."""
        deadline = time.monotonic() + 30
        while True:
            answer = self.client.post(f"{PATH}/count?{TIMEOUT}", {"exact": True})
            if answer.status == 200 or NAMES_DAMAGE.search(answer.error):
                return
            if time.monotonic() > deadline:
                raise Wrong(f"neither an answer nor a reason within 30 s: {answer.status} {answer.text[:300]}")
            time.sleep(0.05)

    def check(self):
        """Every answer that comes is right; once it has refused to answer some times, no more is asked."""
        self.settle()
        try:
            self.check_counts()
            self.check_points()
            self.check_searches()
        except Refused:
            pass

    def expect(self, what, found, expected):
        if found != expected:
            raise Wrong(f"{what}: {str(found)[:300]} where {str(expected)[:300]} is right")

    def check_counts(self):
        if counted := self.ask(f"{PATH}/count", {"exact": True}):
            self.expect("count", counted["count"], len(self.model.live))
        for number in range(TAGS):
            condition = {"key": "tag", "match": {"value": f"t{number}"}}
            if counted := self.ask(f"{PATH}/count", {"exact": True, "filter": {"must": [condition]}}):
                self.expect(f"count of t{number}", counted["count"], sum(id % TAGS == number for id in self.model.live))

    def check_points(self):
        ids, start = [], None
        while page := self.ask(f"{PATH}/scroll", {"limit": 500, "offset": start, "with_payload": True, "with_vector": True}):
            for point in page["points"]:
                self.check_point(point)
                ids.append(point["id"])
            start = page.get("next_page_offset")
            if start is None:
                self.expect("ids", ids, self.model.live)
                break
        for first in range(0, POINTS, 500):
            wanted = list(range(first, first + 500))
            points = self.ask(PATH, {"ids": wanted, "with_payload": True, "with_vector": True})
            if points is not None:
                self.expect("retrieved ids", [p["id"] for p in points], [id for id in wanted if id not in DELETED])
                for point in points:
                    self.check_point(point)

    def check_point(self, point):
        id = point["id"]
        self.expect(f"payload of {id}", point["payload"], self.model.payloads[id])
        self.expect(f"vector of {id}", point["vector"], self.model.vectors[id].tolist())

    def check_searches(self):
        for id in range(0, POINTS, 100):
            query = self.model.vectors[id]
            true = self.model.distances(query)
            for exact in (True, False):
                body = {"query": query.tolist(), "limit": 5, "with_payload": True, "params": {"exact": exact}}
                found = self.ask(f"{PATH}/query", body)
                if found is None:
                    continue
                scores = {point["id"]: point["score"] for point in found["points"]}
                self.expect(f"number of results for {id}", len(scores), 5)
                for other, score in scores.items():
                    if other not in true or abs(true[other] - score) > 1e-3 * max(1, true[other]):
                        raise Wrong(f"query {id}, exact {exact}: {other} with {score} where {true.get(other)} is right")
                if exact:
                    worst = max(abs(a - b) for a, b in zip(sorted(scores.values()), self.model.nearest(query, 5)))
                    if worst > 1e-2:
                        raise Wrong(f"exact query {id}: {scores}")
                for point in found["points"]:
                    self.expect(f"payload of {point['id']}", point["payload"], self.model.payloads[point["id"]])


@pytest.mark.parametrize("environment", ["points", "index"])
def test_a_flipped_bit_is_never_answered_from(stopped, model, measured, environment):
    node, pristine = stopped
    choice = random.Random(f"{SEED} {environment}")
    named, failures = 0, []
    for trial in range(TRIALS):
        shutil.rmtree(node.data)
        shutil.copytree(pristine, node.data)
        (path,) = node.data.glob(f"node-1/collections/*/*/generation-*/{environment}/data.mdb")
        where = flip(path, choice)
        run = Trial(node, model)
        try:
            node.start(ready="/healthz")
            run.check()
            named += bool(run.refusals)
        except (Wrong, ConnectionBroken, AssertionError) as failure:
            state = "" if node.is_running else f"; the node ended with {node.process.returncode}: {node.log_end(4)}"
            failures.append(f"trial {trial}, {where}: {failure}{state}")
        finally:
            node.kill()
    measured(f"{TRIALS} flipped bits in `{environment}`: {named} named, {TRIALS - named - len(failures)} without effect")
    listed = "\n".join(failures)
    assert not failures, (
        f"{len(failures)} of {TRIALS} flipped bits were answered from, or not named:\n{listed}\n"
        f"replay: SHOAL_FLIP_SEED={SEED} SHOAL_FLIPPED_BITS={TRIALS} pytest Tests/Acceptance/test_flipped_bits.py"
    )

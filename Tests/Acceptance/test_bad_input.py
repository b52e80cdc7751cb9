"""Hostile and mistaken requests: each a clear 4xx in the envelope that names what is wrong, and the server unharmed."""

import json
import select
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest

NAME = "strict"
POINTS = f"/collections/{NAME}/points"
QUERY = f"{POINTS}/query"
GIGABYTE = 1 << 30
GOOD = [0.5, 0.25, -0.5, 1.0]


@pytest.fixture(scope="module")
def cluster(small_cluster):
    client = small_cluster.client()
    client.put(f"/collections/{NAME}", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    points = [{"id": id, "vector": [float(id), 1.0, 0.0, 0.0], "payload": {"n": id}} for id in range(1, 11)]
    client.put(f"{POINTS}?wait=true", {"points": points}).expect(200)
    yield small_cluster
    client.delete(f"/collections/{NAME}").expect(200)


@pytest.fixture
def client(cluster):
    """A client; afterwards the server must be as it was: same processes, same points, same answers."""
    pids = cluster.pids()
    yield cluster.client()
    assert cluster.pids() == pids, "a process died"
    for node in (1, 2, 3):
        sound = cluster.client(node)
        assert sound.post(f"{POINTS}/count", {"exact": True}).expect(200)["count"] == 10
        best = sound.post(QUERY, {"query": [1.0, 0, 0, 0], "limit": 1}).expect(200)["points"]
        assert [point["id"] for point in best] == [10]


def upsert(**changes):
    return {"points": [{"id": 1, "vector": GOOD, "payload": {"n": 1}} | changes]}


def raw_upsert(vector="[0.5, 0.25, -0.5, 1.0]", id="1", payload='{"n": 1}'):
    return f'{{"points": [{{"id": {id}, "vector": {vector}, "payload": {payload}}}]}}'.encode()


# name: (method, path, body, words of which one must be in the message)
MISTAKES = {
    "no JSON at all": ("PUT", POINTS, b"points please", ["JSON", "json"]),
    "an empty body": ("PUT", POINTS, b"", ["JSON", "json", "empty", "body"]),
    "half an object": ("PUT", POINTS, b'{"points": [{"id": 1, "vector": [0.5, ', ["JSON", "json"]),
    "trailing garbage": ("PUT", POINTS, raw_upsert() + b"]", ["JSON", "json"]),
    "bytes that are not UTF-8": (
        "PUT", POINTS, raw_upsert().replace(b'"n"', b'"\xff\xfe"'), ["JSON", "json", "UTF"],
    ),
    "an array as body": ("PUT", POINTS, b"[1, 2]", ["object", "body", "points"]),
    "no points": ("PUT", POINTS, {}, ["points"]),
    "a dimension too small": ("PUT", POINTS, upsert(vector=[1.0, 2.0]), ["vector", "dimension"]),
    "a dimension too large": ("PUT", POINTS, upsert(vector=[1.0] * 5), ["vector", "dimension"]),
    "an empty vector": ("PUT", POINTS, upsert(vector=[]), ["vector", "dimension"]),
    "no vector": ("PUT", POINTS, {"points": [{"id": 1}]}, ["vector"]),
    "a vector of strings": ("PUT", POINTS, upsert(vector=["a", "b", "c", "d"]), ["vector"]),
    "a component null": ("PUT", POINTS, upsert(vector=[1.0, None, 1.0, 1.0]), ["vector"]),
    "a component NaN": ("PUT", POINTS, raw_upsert("[NaN, 0, 0, 0]"), ["JSON", "json", "vector"]),
    "a component Infinity": ("PUT", POINTS, raw_upsert("[0, -Infinity, 0, 0]"), ["JSON", "json", "vector"]),
    "a component beyond double": ("PUT", POINTS, raw_upsert("[0, 0, 1e400, 0]"), ["vector", "JSON", "json"]),
    "a component beyond float": ("PUT", POINTS, raw_upsert("[0, 0, 0, 1e39]"), ["vector"]),
    "a vector space that is unknown": ("PUT", POINTS, upsert(vector={"other": GOOD}), ["other", "vector"]),
    "a negative id": ("PUT", POINTS, raw_upsert(id="-1"), ["id"]),
    "an id beyond 64 bits": ("PUT", POINTS, raw_upsert(id="18446744073709551616"), ["id", "JSON", "json", "integer"]),
    "a fractional id": ("PUT", POINTS, raw_upsert(id="1.5"), ["id"]),
    "an id that is no UUID": ("PUT", POINTS, raw_upsert(id='"point-1"'), ["id", "UUID"]),
    "an id that is null": ("PUT", POINTS, raw_upsert(id="null"), ["id"]),
    "a payload that is a list": ("PUT", POINTS, raw_upsert(payload="[1]"), ["payload"]),
    "a payload beyond its limit": ("PUT", POINTS, upsert(payload={"text": "x" * (2 << 20)}), ["payload"]),
    "a batch of unequal lengths": (
        "PUT", POINTS, {"batch": {"ids": [1, 2], "vectors": [GOOD]}}, ["batch", "vectors", "ids"],
    ),
    "a negative version": ("PUT", POINTS, upsert(if_version=-1), ["if_version"]),
    "a version that is text": ("PUT", POINTS, upsert(if_version="1"), ["if_version"]),
    "a version for a filter": ("POST", f"{POINTS}/delete", {"filter": {"must": []}, "if_version": 1}, ["if_version"]),
    "versions of another number": (
        "PUT", POINTS, {"batch": {"ids": [1], "vectors": [GOOD], "if_versions": [1, 2]}}, ["if_versions"],
    ),
    "a version in the query that is none": ("PUT", f"{POINTS}?if_version=two", upsert(), ["if_version"]),
    "a request id that is a number": ("PUT", POINTS, upsert() | {"request_id": 7}, ["request_id"]),
    "an empty request id": ("PUT", f"{POINTS}?request_id=", upsert(), ["request_id"]),
    "a request id beyond its limit": ("PUT", POINTS, upsert() | {"request_id": "x" * 65}, ["request_id"]),
    "two request ids": ("PUT", f"{POINTS}?request_id=a", upsert() | {"request_id": "b"}, ["request_id"]),
    "a question for versions that is no boolean": ("POST", POINTS, {"ids": [1], "with_version": 1}, ["with_version"]),
    "a query of wrong dimension": ("POST", QUERY, {"query": [1.0, 2.0]}, ["dimension", "query", "vector"]),
    "a query with NaN": ("POST", QUERY, b'{"query": [NaN, 0, 0, 0]}', ["JSON", "json", "query"]),
    "a query beyond float": ("POST", QUERY, b'{"query": [1e39, 0, 0, 0]}', ["query", "vector"]),
    "a limit that is negative": ("POST", QUERY, {"query": GOOD, "limit": -1}, ["limit"]),
    "a limit of zero": ("POST", QUERY, {"query": GOOD, "limit": 0}, ["limit"]),
    "a limit that is huge": ("POST", QUERY, {"query": GOOD, "limit": 1 << 40}, ["limit"]),
    "a limit that is text": ("POST", QUERY, {"query": GOOD, "limit": "ten"}, ["limit"]),
    "an ef out of range": ("POST", QUERY, {"query": GOOD, "params": {"hnsw_ef": 1 << 40}}, ["hnsw_ef"]),
    "an offset that is huge": ("POST", QUERY, {"query": GOOD, "offset": 1 << 62}, ["offset", "limit"]),
    "a search without a vector": ("POST", f"{POINTS}/search", {"limit": 3}, ["vector"]),
    "a delete without a selector": ("POST", f"{POINTS}/delete", {}, ["points", "filter", "selector"]),
    "a retrieve without ids": ("POST", POINTS, {}, ["ids"]),
    "a create without a size": ("PUT", "/collections/new", {"vectors": {"distance": "Dot"}}, ["size"]),
    "a create of size zero": ("PUT", "/collections/new", {"vectors": {"size": 0, "distance": "Dot"}}, ["size"]),
    "a create of a huge size": ("PUT", "/collections/new", {"vectors": {"size": 1 << 30, "distance": "Dot"}}, ["size"]),
    "a create with an unknown distance": (
        "PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Taxi"}}, ["distance"],
    ),
    "a replication factor above the node count": (
        "PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Dot"}, "replication_factor": 4},
        ["replication_factor"],
    ),
    "no shards": ("PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 0}, ["shard_number"]),
    "more shards than virtual shards": (
        "PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 200}, ["shard"],
    ),
    "an m out of range": (
        "PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Dot"}, "hnsw_config": {"m": 100000}}, ["m"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(client, mistake):
    method, path, body, words = MISTAKES[mistake]
    answer = client.request(method, path, body)
    assert 400 <= answer.status < 500, (answer.status, answer.text[:500])
    assert any(word in answer.error for word in words), answer.error
    assert client.get("/collections/new").status == 404


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("GET", "/collections/absent", None),
        ("PUT", "/collections/absent/points", upsert()),
        ("POST", "/collections/absent/points/query", {"query": GOOD}),
        ("POST", "/collections/absent/points/search", {"vector": GOOD, "limit": 1}),
        ("POST", "/collections/absent/points/count", {"exact": True}),
        ("POST", "/collections/absent/points/scroll", {}),
        ("POST", "/collections/absent/points/delete", {"points": [1]}),
        ("GET", "/collections/absent/points/1", None),
        ("GET", f"{POINTS}/4711", None),
        ("POST", QUERY, {"query": 4711}),
        ("GET", "/no/such/path", None),
    ],
)
def test_what_is_not_there_is_a_404(client, method, path, body):
    answer = client.request(method, path, body)
    assert answer.status == 404, answer.text[:500]
    assert answer.error


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fetc", "a%2Fb", "..", "%2e%2e", ".", "a%5Cb", "a%00b", "a%0Ab", "%3Cb%3E", "x" * 256, "a%3Ab", ""]
)
def test_a_collection_name_that_is_no_name_is_refused(client, cluster, name):
    answer = client.put(f"/collections/{name}", {"vectors": {"size": 4, "distance": "Dot"}})
    assert 400 <= answer.status < 500, answer.text[:500]
    assert answer.error
    assert client.get("/collections").expect(200)["collections"] == [{"name": NAME}]


@pytest.mark.parametrize("name", ["plain", "Käse", "a b", "a.b-c_d", "x" * 255])
def test_other_names_are_fine(client, name):
    path = f"/collections/{quote(name)}"
    client.put(path, {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    assert {"name": name} in client.get("/collections").expect(200)["collections"]
    client.delete(path).expect(200)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("path", [POINTS, "/collections/new"])
def test_nesting_of_100_000_levels_is_refused(client, path, opening):
    answer = client.put(path, opening * 100_000)
    assert answer.status == 400 and answer.error
    closing = b"]" if opening == b"[" else b"}"
    deep = b'{"points": [{"id": 1, "vector": [1,1,1,1], "payload": {"deep": %s1%s}}]}'
    answer = client.put(POINTS, deep % (opening * 100_000, closing * 100_000))
    assert answer.status == 400 and answer.error


@pytest.mark.parametrize("ids", [[0, (1 << 64) - 1]])
def test_the_largest_ids_are_ids(cluster, ids):
    client = cluster.client()
    client.put("/collections/ids", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    points = [{"id": id, "vector": GOOD} for id in ids]
    client.put("/collections/ids/points", {"points": points}).expect(200)
    assert [p["id"] for p in client.post("/collections/ids/points", {"ids": ids}).expect(200)] == ids
    client.delete("/collections/ids").expect(200)


def stream(cluster, head, piece):
    """Sends a head and then pieces, a gigabyte in all, until the server answers or closes; (bytes sent, answer)."""
    with socket.create_connection(("127.0.0.1", cluster.http_port), timeout=30) as connection:
        connection.sendall(head)
        sent = 0
        try:
            while sent < GIGABYTE:
                readable, _, _ = select.select([connection], [], [], 0)
                if readable:
                    break
                connection.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        text = b""
        try:
            while chunk := connection.recv(1 << 16):
                text += chunk
        except ConnectionResetError:
            pass
        return sent, text


def highest_memory(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_body_of_a_gigabyte_is_refused_early(client, cluster, framing):
    pid = cluster.pid(1)
    before = highest_memory(pid)
    piece = b" " * (1 << 16)
    if framing == "chunked":
        piece = b"%x\r\n%s\r\n" % (len(piece), piece)
        length = "Transfer-Encoding: chunked"
    else:
        length = f"Content-Length: {GIGABYTE}"
    head = f"PUT {POINTS} HTTP/1.1\r\nHost: shoal\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode()
    sent, text = stream(cluster, head, piece)
    assert text.startswith(b"HTTP/1.1 413 "), (sent, text[:300])
    body = text.partition(b"\r\n\r\n")[2]
    assert b'"error"' in body, text[:500]
    assert sent < 256 << 20, f"{sent} bytes were taken before the refusal"
    assert highest_memory(pid) - before < 256 << 20


def test_a_client_that_stops_in_the_middle_of_its_body_harms_nobody(client, cluster):
    stalled = []
    for _ in range(50):
        connection = socket.create_connection(("127.0.0.1", cluster.http_port), timeout=30)
        connection.sendall(f"PUT {POINTS} HTTP/1.1\r\nHost: shoal\r\nContent-Length: 1000\r\n\r\n{{\"points\": [".encode())
        stalled.append(connection)
    started = time.monotonic()
    client.post(QUERY, {"query": GOOD}).expect(200)
    assert time.monotonic() - started < 10
    for connection in stalled:
        connection.close()


def test_a_method_that_a_path_does_not_have_is_a_4xx(client):
    answer = client.request("PATCH", QUERY, {})
    assert answer.status in (404, 405) and answer.error


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        bytes(range(256)) * 64,
    ],
    ids=["no HTTP", "HTTP 9.9", "a long path", "many headers", "negative length", "bad chunk", "binary"],
)
def test_broken_http_is_answered_with_4xx_or_a_closed_connection(client, cluster, head):
    with socket.create_connection(("127.0.0.1", cluster.http_port), timeout=30) as connection:
        try:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            text = connection.recv(1 << 16)
        except OSError:
            return  # closed, in any of the ways in which the system says so
    assert text == b"" or text.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), text[:200]


def test_unsupported_fields_are_refused_by_name_and_not_misread(client):
    for field, value in {
        "prefetch": {"query": GOOD},
        "lookup_from": {"collection": "other"},
    }.items():
        answer = client.post(QUERY, {"query": GOOD, field: value})
        assert answer.status == 400 and field in answer.error, (answer.status, answer.text)
    answer = client.put("/collections/new", {"vectors": {"size": 4, "distance": "Dot"}, "sparse_vectors": {"s": {}}})
    assert answer.status == 400 and "sparse_vectors" in answer.error
    assert client.post(QUERY, {"query": GOOD, "filter": None, "prefetch": []}).status == 200


def test_errors_speak_json_whatever_the_client_accepts(client):
    answer = client.request("GET", "/collections/absent", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(json.loads(answer.text)) >= {"status", "time"}

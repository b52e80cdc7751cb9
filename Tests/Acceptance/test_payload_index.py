"""Payload indexes over HTTP, by the official client: built and dropped under writes, and answering as payloads do."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from client import Client

DIMENSION = 16
COLORS = ["red", "green", "blue", "black"]
INDEXES = {
    "color": models.PayloadSchemaType.KEYWORD,
    "number": models.PayloadSchemaType.INTEGER,
    "size": models.PayloadSchemaType.FLOAT,
    "on": models.PayloadSchemaType.BOOL,
    "at": models.PayloadSchemaType.DATETIME,
    "place": models.PayloadSchemaType.GEO,
    "nested.tags[]": models.PayloadSchemaType.KEYWORD,
}


def payload(number):
    dice = random.Random(number)
    values = {
        "color": dice.choice(COLORS) if dice.random() < 0.8 else dice.sample(COLORS, 2),
        "number": dice.randrange(100),
        "size": dice.random() * 10,
        "on": dice.random() < 0.5,
        "at": f"2024-{dice.randrange(1, 13):02}-{dice.randrange(1, 28):02}T{dice.randrange(24):02}:00:00Z",
        "place": {"lon": dice.uniform(-180, 180), "lat": dice.uniform(-90, 90)},
        "nested": {"tags": dice.sample("abcdefgh", dice.randrange(4))},
        "text": " ".join(dice.choice(["Quick", "brown", "fox", "dog"]) for _ in range(4)),
    }
    return {key: value for key, value in values.items() if dice.random() < 0.85}


def conditions():
    field, range_ = models.FieldCondition, models.Range
    yield field(key="color", match=models.MatchValue(value="red"))
    yield field(key="color", match=models.MatchAny(any=["red", "blue"]))
    yield field(key="color", match=models.MatchExcept(**{"except": ["red", "blue"]}))
    yield field(key="number", match=models.MatchValue(value=7))
    yield field(key="number", range=range_(gte=10, lt=30))
    yield field(key="size", range=range_(gt=2.5, lte=9))
    yield field(key="on", match=models.MatchValue(value=True))
    yield field(key="at", range=models.DatetimeRange(gte="2024-03-01T00:00:00Z", lt="2024-08-01T00:00:00Z"))
    yield field(key="place", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=10, lat=50), radius=4_000_000))
    yield field(
        key="place",
        geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=150, lat=60), bottom_right=models.GeoPoint(lon=-100, lat=-60)
        ),
    )
    yield field(key="nested.tags[]", match=models.MatchValue(value="c"))
    yield models.IsEmptyCondition(is_empty=models.PayloadField(key="nested.tags"))
    yield models.HasIdCondition(has_id=list(range(0, 1_000, 3)))


def filters():
    single = list(conditions())
    for condition in single:
        yield models.Filter(must=[condition])
        yield models.Filter(must_not=[condition])
    for one, other in itertools.combinations(single, 2):
        yield models.Filter(must=[one], should=[other, single[0]])


def ids(client, collection, filter):
    """The ids that pass: by scroll, checked against the count."""
    found, offset = [], None
    while True:
        records, offset = client.scroll(collection, scroll_filter=filter, limit=500, offset=offset, with_payload=False)
        found += [record.id for record in records]
        if offset is None:
            break
    assert found == sorted(set(found))
    assert client.count(collection, count_filter=filter, exact=True).count == len(found)
    return found


def progress(raw, collection):
    schema = raw.get(f"/collections/{collection}").expect(200)["payload_schema"]
    return {path: index["progress"] for path, index in schema.items()}


@pytest.fixture(params=[1, 3], ids="{} nodes".format)
def cluster(request, new_cluster):
    if request.param == 3:
        return request.getfixturevalue("small_cluster")
    made = new_cluster(nodes=1, replication_factor=1)
    made.start()
    return made


def points(numbers):
    vectors = np.random.default_rng(5).standard_normal((len(numbers), DIMENSION))
    return [
        models.PointStruct(id=number, vector=vector.tolist(), payload=payload(number))
        for number, vector in zip(numbers, vectors)
    ]


def test_indexes_answer_as_payloads_do_while_they_come_and_go_under_writes(cluster):
    client, raw = QdrantClient(url=cluster.urls[0], timeout=60), Client(cluster.urls[-1])
    for name in ("plain", "indexed"):
        client.create_collection(
            name, vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.EUCLID), timeout=60
        )
    stop = Event()

    def write():
        for first in range(0, 4_000, 200):
            for name in ("plain", "indexed"):
                client.upsert(name, points(range(first, first + 200)), wait=True)
        for name in ("plain", "indexed"):
            client.delete(name, list(range(0, 4_000, 9)), wait=True)
            client.upsert(name, points(range(0, 600, 2)), wait=True)

    def come_and_go():
        while not stop.is_set():
            client.create_payload_index("indexed", "number", field_schema=models.PayloadSchemaType.INTEGER)
            client.delete_payload_index("indexed", "number")

    try:
        with ThreadPoolExecutor(2) as pool:
            writing, changing = pool.submit(write), pool.submit(come_and_go)
            for path, kind in INDEXES.items():
                if path != "number":
                    client.create_payload_index("indexed", path, field_schema=kind)
            writing.result()
            stop.set()
            changing.result()
        client.create_payload_index("indexed", "number", field_schema=models.PayloadSchemaType.INTEGER)
        # The client waits by default, and no replica is left behind when the answer comes.
        assert set(progress(raw, "indexed").values()) == {1}
        schema = client.get_collection("indexed").payload_schema
        assert {path: index.data_type for path, index in schema.items()} == INDEXES
        assert all(0 < index.points for index in schema.values())
        query = np.random.default_rng(6).standard_normal(DIMENSION).tolist()
        for filter in filters():
            expected = ids(client, "plain", filter)
            assert ids(client, "indexed", filter) == expected, filter
            nearest = [
                [point.id for point in client.query_points(name, query, query_filter=filter, limit=20).points]
                for name in ("plain", "indexed")
            ]
            assert set(nearest[1]) <= set(expected)
            assert len(nearest[0]) == len(nearest[1]) == min(20, len(expected)), filter
        for path in INDEXES:
            client.delete_payload_index("indexed", path)
        assert client.get_collection("indexed").payload_schema == {}
        for filter in itertools.islice(filters(), 8):
            assert ids(client, "indexed", filter) == ids(client, "plain", filter)
    finally:
        stop.set()
        for name in ("plain", "indexed"):
            client.delete_collection(name)


def test_a_text_index_finds_tokens_and_a_profile_says_how(new_cluster):
    cluster = new_cluster(nodes=1, replication_factor=1)
    cluster.start()
    client, raw = QdrantClient(url=cluster.urls[0], timeout=60), Client(cluster.urls[0])
    client.create_collection("t", vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.EUCLID))
    client.upsert("t", points(range(500)), wait=True)
    client.create_payload_index(
        "t",
        "text",
        field_schema=models.TextIndexParams(
            type="text", tokenizer=models.TokenizerType.PREFIX, min_token_len=2, max_token_len=5, lowercase=True
        ),
    )
    assert progress(raw, "t") == {"text": 1}
    assert "\nshoal_payload_index_rows_left 0" in raw.get("/metrics").text.decode()
    texts = {number: payload(number).get("text", "").lower() for number in range(500)}
    for word, expected in [
        ("QUI", [number for number, text in texts.items() if "quick" in text]),
        ("brow fox", [number for number, text in texts.items() if "brown" in text and "fox" in text]),
    ]:
        filter = models.Filter(must=[models.FieldCondition(key="text", match=models.MatchText(text=word))])
        assert ids(client, "t", filter) == expected
    answer = raw.post(
        "/collections/t/points/query",
        {
            "query": [0.0] * DIMENSION,
            "filter": {"must": [{"key": "text", "match": {"text": "qui"}}]},
            "params": {"profile": True},
        },
    )
    answer.expect(200)
    profiles = answer.json["profile"]
    assert sum(shard["certain_rows"] for shard in profiles) == sum("quick" in text for text in texts.values())
    assert all(shard["strategy"] == "scan" and shard["checked_payloads"] == 0 for shard in profiles)

"""Filters, through the official qdrant-client against real servers, compared with a brute-force reference: the client's
own description of the dialect (its local mode) says which points pass, and NumPy ranks them."""

import random
import uuid
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from qdrant_client.local.payload_filters import check_filter

from client import Client
from conftest import session_cluster

POINTS = 3000
FILTERS = 120
WORDS = ["shoal", "of", "Fish", "reef", "deep-sea", "7 seas", "Überfisch", "a shoal of fish", "the reef, at night"]
NOON = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
DATES = [
    NOON.isoformat(),
    "2024-02-29",
    "2024-02-29T12:00:00.000001Z",
    "2024-02-29T14:00:00+02:00",
    "2024-03-01 00:30",
    "1969-12-31T23:59:59.5Z",
    "not a date",
]
PATHS = ["n", "mixed", "tags", "tags[]", "deep.x", "deep.list[].x", "deep.list[1].y", "absent", "date", "text", "place"]


# Random payloads


def scalar(rng):
    return rng.choice([rng.randint(-3, 3), rng.randint(-6, 6) / 2, rng.choice("xyz"), rng.random() < 0.5, None])


def place(rng):
    return {"lon": rng.uniform(-180, 180), "lat": rng.uniform(-90, 90)}


def some(rng, make, most=3):
    """A value, or an array of values."""
    return make(rng) if rng.random() < 0.7 else [make(rng) for _ in range(rng.randint(0, most))]


def payload(rng):
    full = {
        "n": rng.randint(0, 99),
        "mixed": some(rng, scalar),
        "tags": [rng.choice(["red", "green", "blue"]) for _ in range(rng.randint(0, 3))],
        "deep": {
            "x": some(rng, scalar),
            "list": [{"x": scalar(rng), "y": some(rng, scalar)} for _ in range(rng.randint(0, 3))],
        },
        "date": some(rng, lambda rng: rng.choice(DATES)),
        "text": some(rng, lambda rng: rng.choice(WORDS)),
        "place": some(rng, place),
    }
    return {key: value for key, value in full.items() if rng.random() < 0.85}


# Random filters


def match(rng):
    values = rng.sample(["x", "y", "z", "red", "green", ""], 2) if rng.random() < 0.5 else rng.sample(range(-3, 4), 3)
    return rng.choice(
        [
            models.MatchValue(value=rng.choice(values)),
            models.MatchValue(value=rng.random() < 0.5),
            models.MatchAny(any=values),
            models.MatchExcept(**{"except": values}),
            models.MatchPrefix(prefix=rng.choice(["r", "gre", ""])),
        ]
    )


def words(rng):
    text = rng.choice(WORDS + ["fish of", "SHOAL", "night reef", ""])
    return rng.choice(
        [models.MatchText(text=text), models.MatchTextAny(text_any=text), models.MatchPhrase(phrase=text)]
    )


def numbers(rng):
    low = rng.randint(-3, 60)
    return rng.choice([models.Range(gte=low, lt=low + rng.randint(1, 40)), models.Range(gt=low), models.Range(lte=low)])


def dates(rng):
    start = NOON + timedelta(hours=rng.randint(-24, 24))
    return models.DatetimeRange(gt=start, lte=start + timedelta(hours=rng.randint(1, 48)))


def area(rng):
    center = models.GeoPoint(**place(rng))
    if rng.random() < 0.4:
        return {"geo_radius": models.GeoRadius(center=center, radius=rng.uniform(1e5, 1e7))}
    if rng.random() < 0.5:
        lats = sorted([rng.uniform(-90, 90), rng.uniform(-90, 90)])
        box = models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=rng.uniform(-180, 180), lat=lats[1]),
            bottom_right=models.GeoPoint(lon=rng.uniform(-180, 180), lat=lats[0]),
        )
        return {"geo_bounding_box": box}
    return {"geo_polygon": models.GeoPolygon(exterior=ring(90, 60), interiors=[ring(30, 20)])}


def ring(lon, lat):
    corners = [(-lon, -lat), (lon, -lat), (lon / 2, lat), (-lon, lat / 3), (-lon, -lat)]
    return models.GeoLineString(points=[models.GeoPoint(lon=x, lat=y) for x, y in corners])


def condition(rng, depth, ids=()):
    nested = not ids
    path = rng.choice(["x", "y", "y[]"] if nested else PATHS)
    kind = rng.randrange(12)
    if kind == 0:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=path))
    if kind == 1:
        return models.IsNullCondition(is_null=models.PayloadField(key=path))
    if kind == 2 and depth > 0:
        return random_filter(rng, depth - 1, ids)
    if kind == 3 and depth > 0 and not nested:
        return models.NestedCondition(nested=models.Nested(key="deep.list", filter=random_filter(rng, depth - 1)))
    if kind == 4 and not nested:
        return models.HasIdCondition(has_id=rng.sample(ids, 500))
    if kind == 5 and not nested:
        return rng.choice(
            [models.HasVectorCondition(has_vector=""), models.SliceCondition(slice=models.Slice(total=3, index=1))]
        )
    if kind == 6:
        return models.FieldCondition(key=path, values_count=models.ValuesCount(gte=rng.randint(0, 2), lt=3))
    if kind == 7 and not nested:
        return models.FieldCondition(key="text", match=words(rng))
    if kind == 8 and not nested:
        return models.FieldCondition(key="date", range=dates(rng))
    if kind == 9 and not nested:
        return models.FieldCondition(key="place", **area(rng))
    if kind == 10:
        return models.FieldCondition(key=path, range=numbers(rng))
    return models.FieldCondition(key=path, match=match(rng))


def random_filter(rng, depth=2, ids=()):
    def clause(chance, most):
        return [condition(rng, depth, ids) for _ in range(rng.randint(1, most))] if rng.random() < chance else None

    filter = models.Filter(must=clause(0.6, 2), should=clause(0.4, 3), must_not=clause(0.3, 2))
    if rng.random() < 0.15:
        filter.min_should = models.MinShould(
            conditions=[condition(rng, depth, ids) for _ in range(3)], min_count=rng.randint(1, 3)
        )
    return filter if filter.model_dump(exclude_none=True) else random_filter(rng, depth, ids)


# The servers and their points


class Points:
    """What is in the collection, and what a filter should find there."""

    def __init__(self, sample, seed=5):
        rng = random.Random(seed)
        self.vectors = sample.vectors[np.arange(POINTS) % len(sample.vectors)].copy()
        # The sample is smaller: what comes again gets its own place.
        noise = np.random.default_rng(seed).standard_normal(self.vectors.shape).astype(np.float32)
        self.vectors += 0.02 * noise
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self.ids = [
            number if number % 5 else str(uuid.UUID(int=rng.getrandbits(128))) for number in range(1, POINTS + 1)
        ]
        self.payloads = [payload(rng) for _ in self.ids]

    def upload(self, client, name):
        client.upload_collection(name, vectors=self.vectors, payload=self.payloads, ids=self.ids, wait=True)

    def passing(self, filter):
        """Rows of the points that pass."""
        return [
            row
            for row, (id, payload) in enumerate(zip(self.ids, self.payloads))
            if check_filter(filter, payload, id, {"": True})
        ]

    def nearest(self, query, rows, limit):
        """The scores of the nearest of some rows, best first."""
        return np.sort(self.vectors[rows] @ query)[::-1][:limit] if rows else np.empty(0)


@pytest.fixture(scope="module")
def points(sample):
    return Points(sample)


@pytest.fixture(scope="module")
def one_node(tmp_path_factory):
    yield from session_cluster(tmp_path_factory.mktemp("one"), nodes=1, replication_factor=1)


@pytest.fixture(scope="module", params=[1, 3], ids="{} nodes".format)
def clients(request, points):
    """A client for each node of a cluster with the points in `filtered`."""
    cluster = request.getfixturevalue("one_node" if request.param == 1 else "small_cluster")
    clients = [QdrantClient(url=url, timeout=60) for url in cluster.urls]
    for name in ["filtered", "indexed"]:
        clients[0].create_collection(name, models.VectorParams(size=384, distance=models.Distance.COSINE))
        points.upload(clients[0], name)
    yield clients
    for name in ["filtered", "indexed"]:
        clients[0].delete_collection(name)
    for client in clients:
        client.close()


def scrolled(client, name, filter):
    """Ids of all points that pass, in small pages."""
    ids, offset = [], None
    while True:
        page, offset = client.scroll(name, filter, limit=700, offset=offset, with_payload=False)
        ids += [record.id for record in page]
        if offset is None:
            return ids


def expect_the_reference(clients, name, points, filters):
    rng = random.Random(1)
    passed = 0
    for number, filter in enumerate(filters):
        client = clients[number % len(clients)]
        rows = points.passing(filter)
        passed += 0 < len(rows) < POINTS
        note = f"filter {number}: {filter.model_dump_json(exclude_none=True)}"
        assert set(scrolled(client, name, filter)) == {points.ids[row] for row in rows}, note
        assert client.count(name, filter).count == len(rows), note
        query = points.vectors[rng.randrange(POINTS)]
        best = points.nearest(query, rows, 10)
        exact = client.query_points(
            name, query, query_filter=filter, limit=10, search_params=models.SearchParams(exact=True)
        ).points
        assert np.allclose([point.score for point in exact], best, atol=1e-5), note
        found = client.query_points(name, query, query_filter=filter, limit=10).points
        assert len(found) == len(best), note
        assert {point.id for point in found} <= {points.ids[row] for row in rows}, note
    assert passed > len(filters) / 3, "filters that tell points apart"


def test_random_filters_find_what_the_reference_finds(clients, points):
    rng = random.Random(11)
    filters = [random_filter(rng, ids=points.ids) for _ in range(FILTERS)]
    expect_the_reference(clients, "filtered", points, filters)


def test_batches_and_listings_take_filters(clients, points):
    client = clients[-1]
    filters = [
        models.Filter(must=models.FieldCondition(key="n", range=models.Range(lt=bound))) for bound in (10, 50, 90)
    ]
    query = points.vectors[3]
    batch = client.query_batch_points(
        "filtered", [models.QueryRequest(query=query.tolist(), filter=filter, limit=5) for filter in filters]
    )
    for filter, answer in zip(filters, batch):
        best = points.nearest(query, points.passing(filter), 5)
        assert np.allclose([point.score for point in answer.points], best, atol=1e-5)
    listed = client.query_points("filtered", query_filter=filters[0], limit=POINTS).points
    assert {point.id for point in listed} == {points.ids[row] for row in points.passing(filters[0])}


def test_a_delete_by_filter_takes_what_passes_and_nothing_else(clients, points):
    name = f"deletes-{uuid.uuid4()}"
    clients[0].create_collection(name, models.VectorParams(size=384, distance=models.Distance.COSINE))
    points.upload(clients[0], name)
    red = models.Filter(must=[models.FieldCondition(key="tags", match=models.MatchValue(value="red"))])
    even = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=50))])
    gone = set(points.passing(red))
    clients[-1].delete(name, models.FilterSelector(filter=red), wait=True)
    left = {points.ids[row] for row in range(POINTS) if row not in gone}
    for client in clients:
        assert set(scrolled(client, name, None)) == left
        assert client.count(name, red).count == 0
    gone |= set(points.passing(even))
    clients[0].batch_update_points(name, [models.DeleteOperation(delete=models.FilterSelector(filter=even))], wait=True)
    assert set(scrolled(clients[-1], name, None)) == {points.ids[row] for row in range(POINTS) if row not in gone}
    clients[0].delete_collection(name)


def test_a_collection_says_what_it_was_created_with(clients):
    name = f"echo-{uuid.uuid4()}"
    scalar = models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.75, always_ram=True)
    )
    binary = models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=False))
    vectors = {
        "a": models.VectorParams(size=8, distance=models.Distance.DOT, datatype=models.Datatype.FLOAT16, on_disk=True),
        "b": models.VectorParams(size=8, distance=models.Distance.EUCLID, quantization_config=binary),
        "c": models.VectorParams(size=8, distance=models.Distance.DOT, datatype=models.Datatype.UINT8),
    }
    clients[0].create_collection(name, vectors, quantization_config=scalar)
    info = clients[-1].get_collection(name)
    assert info.config.params.vectors == vectors
    assert info.config.quantization_config == scalar
    found = clients[0].query_points(
        name,
        [1.0] * 8,
        using="a",
        search_params=models.SearchParams(
            indexed_only=True,
            quantization=models.QuantizationSearchParams(ignore=False, rescore=True, oversampling=2.0),
            acorn=models.AcornSearchParams(enable=True, max_selectivity=0.3),
        ),
    )
    assert found.points == []
    clients[0].delete_collection(name)


def test_indexes_are_shown_and_change_no_answer(clients, points):
    client = clients[-1]
    schemas = {
        "n": models.PayloadSchemaType.INTEGER,
        "tags": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, on_disk=True),
        "date": models.PayloadSchemaType.DATETIME,
        "place": models.PayloadSchemaType.GEO,
        "deep.list[].x": models.PayloadSchemaType.FLOAT,
        "text": models.TextIndexParams(type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD),
    }
    for field, schema in schemas.items():
        assert client.create_payload_index("indexed", field, schema, wait=True).status == "completed"
    shown = clients[0].get_collection("indexed").payload_schema
    assert {field: index.data_type for field, index in shown.items()} == {
        field: getattr(schema, "type", schema) for field, schema in schemas.items()
    }
    rng = random.Random(12)
    filters = [random_filter(rng, ids=points.ids) for _ in range(FILTERS // 2)]
    expect_the_reference(clients, "indexed", points, filters)
    client.delete_payload_index("indexed", "deep.list[].x")
    client.delete_payload_index("indexed", "absent")
    assert set(clients[0].get_collection("indexed").payload_schema) == set(schemas) - {"deep.list[].x"}
    expect_the_reference(clients, "indexed", points, filters[:10])


def test_a_wrong_filter_is_a_400_that_names_the_place(clients):
    raw = Client(clients[-1].init_options["url"])
    for body, path in [
        ({"must": [{"key": "n", "range": {"gt": "soon"}}]}, "filter.must[0].range.gt"),
        ({"must_not": {"key": "n", "mach": {"value": 1}}}, "filter.must_not.mach"),
        ({"should": [{"has_id": [1]}, {"key": "n", "match": {"any": [1, "x"]}}]}, "filter.should[1].match.any[1]"),
    ]:
        for route in ["query", "scroll", "count", "delete"]:
            answer = raw.post(f"/collections/filtered/points/{route}", {"query": [0.1] * 384, "filter": body})
            assert answer.status == 400 and path in answer.error, (route, answer.text)
    with pytest.raises(UnexpectedResponse) as error:
        clients[0].create_payload_index("filtered", "n", models.TextIndexParams(type="text", tokenizer="multilingual"))
    assert error.value.status_code == 400

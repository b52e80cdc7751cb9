"""The official qdrant-client, unmodified, against each node of a cluster. Scores are compared with NumPy's."""

import uuid
import warnings

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from client import Client

POINTS, DIMENSION = 300, 24
BASE = np.random.default_rng(7).standard_normal((POINTS, DIMENSION)).astype(np.float32)
QUERIES = np.random.default_rng(8).standard_normal((10, DIMENSION)).astype(np.float32)
COLORS = ["red", "green", "blue"]


def payload(number):
    return {"number": number, "color": COLORS[number % 3], "nested": {"odd": number % 2 == 1, "text": f"nº {number}"}}


def scores(distance, query):
    """The scores of all points as Qdrant defines them: a similarity for Cosine and Dot, else a distance."""
    base, query = BASE.astype(np.float64), query.astype(np.float64)
    match distance:
        case models.Distance.COSINE:
            return base @ query / np.linalg.norm(base, axis=1) / np.linalg.norm(query)
        case models.Distance.DOT:
            return base @ query
        case models.Distance.EUCLID:
            return np.linalg.norm(base - query, axis=1)
        case models.Distance.MANHATTAN:
            return np.abs(base - query).sum(axis=1)


def ranked(distance, query):
    """Point numbers, best first, and their scores."""
    all_scores = scores(distance, query)
    larger_is_nearer = distance in (models.Distance.COSINE, models.Distance.DOT)
    order = np.argsort(-all_scores if larger_is_nearer else all_scores)
    return order.tolist(), all_scores[order]


@pytest.fixture(scope="module", params=[1, 2, 3], ids="node {}".format)
def qdrant(small_cluster, request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the client warns when it thinks that it does not fit the server
        client = QdrantClient(url=small_cluster.urls[request.param - 1], timeout=60)
        client.get_collections()
    yield client
    client.close()


@pytest.fixture(scope="module")
def raw(qdrant, small_cluster):
    """The same node over plain HTTP, for endpoints that the newest client no longer uses."""
    return Client(qdrant.init_options["url"])


def fresh(qdrant, vectors, **options):
    name = f"test-{uuid.uuid4()}"
    assert qdrant.create_collection(name, vectors_config=vectors, **options)
    return name


@pytest.fixture(scope="module")
def filled(qdrant):
    """A collection with the unnamed space, Cosine; ids are 0 ..< POINTS."""
    name = fresh(qdrant, models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE))
    qdrant.upload_collection(name, vectors=BASE, payload=map(payload, range(POINTS)), ids=range(POINTS), wait=True)
    yield name
    assert qdrant.delete_collection(name)


# Collections


def test_a_collection_is_created_described_listed_and_deleted(qdrant):
    name = fresh(
        qdrant,
        models.VectorParams(size=DIMENSION, distance=models.Distance.DOT),
        shard_number=2,
        replication_factor=2,
        write_consistency_factor=1,
        hnsw_config=models.HnswConfigDiff(m=24, ef_construct=150),
    )
    assert qdrant.collection_exists(name)
    assert name in [collection.name for collection in qdrant.get_collections().collections]
    info = qdrant.get_collection(name)
    assert info.status in (models.CollectionStatus.GREEN, models.CollectionStatus.YELLOW)
    assert info.points_count == 0
    assert info.config.params.vectors == models.VectorParams(size=DIMENSION, distance=models.Distance.DOT)
    assert info.config.params.shard_number == 2
    assert info.config.params.replication_factor == 2
    assert info.config.params.write_consistency_factor == 1
    assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (24, 150)
    assert qdrant.delete_collection(name)
    assert not qdrant.collection_exists(name)
    assert name not in [collection.name for collection in qdrant.get_collections().collections]
    assert not qdrant.delete_collection(name)


def test_creating_what_exists_is_a_409_and_getting_what_does_not_a_404(qdrant, filled):
    with pytest.raises(UnexpectedResponse) as conflict:
        qdrant.create_collection(filled, models.VectorParams(size=3, distance=models.Distance.DOT))
    assert conflict.value.status_code == 409
    with pytest.raises(UnexpectedResponse) as absent:
        qdrant.get_collection("absent")
    assert absent.value.status_code == 404


def test_named_spaces_are_described_by_their_names(qdrant):
    spaces = {
        "title": models.VectorParams(size=4, distance=models.Distance.EUCLID),
        "body": models.VectorParams(
            size=8, distance=models.Distance.MANHATTAN, hnsw_config=models.HnswConfigDiff(m=8, ef_construct=64)
        ),
    }
    name = fresh(qdrant, spaces)
    described = qdrant.get_collection(name).config.params.vectors
    assert {key: (space.size, space.distance) for key, space in described.items()} == {
        key: (space.size, space.distance) for key, space in spaces.items()
    }
    assert described["body"].hnsw_config.m == 8
    qdrant.delete_collection(name)


def test_a_collection_is_seen_by_every_node_at_once(qdrant, small_cluster):
    name = fresh(qdrant, models.VectorParams(size=2, distance=models.Distance.DOT))
    for url in small_cluster.urls:
        other = QdrantClient(url=url, timeout=60)
        assert other.collection_exists(name)
        other.upsert(name, [models.PointStruct(id=len(url), vector=[1.0, 2.0])])
    qdrant.delete_collection(name)
    assert not any(QdrantClient(url=url, timeout=60).collection_exists(name) for url in small_cluster.urls)


# Points


def test_points_are_upserted_in_list_form_and_retrieved(qdrant):
    name = fresh(qdrant, models.VectorParams(size=3, distance=models.Distance.DOT))
    result = qdrant.upsert(
        name, [models.PointStruct(id=id, vector=[id, 1, 0.5], payload=payload(id)) for id in (5, 3, 9)], wait=True
    )
    assert result.status == models.UpdateStatus.COMPLETED
    found = qdrant.retrieve(name, [9, 4, 3], with_payload=True, with_vectors=True)
    assert [(record.id, record.payload, record.vector) for record in found] == [
        (9, payload(9), [9, 1, 0.5]),
        (3, payload(3), [3, 1, 0.5]),
    ]
    bare = qdrant.retrieve(name, [5], with_payload=False)
    assert not bare[0].payload and bare[0].vector is None
    # A point that exists is replaced whole.
    qdrant.upsert(name, [models.PointStruct(id=3, vector=[7, 7, 7])], wait=True)
    replaced = qdrant.retrieve(name, [3], with_vectors=True)[0]
    assert not replaced.payload and replaced.vector == [7, 7, 7]
    assert qdrant.count(name, exact=True).count == 3
    qdrant.delete_collection(name)


def test_points_are_upserted_in_batch_form(qdrant):
    name = fresh(qdrant, models.VectorParams(size=2, distance=models.Distance.DOT))
    qdrant.upsert(
        name, models.Batch(ids=[1, 2], vectors=[[1, 0], [0, 1]], payloads=[{"a": 1}, {"a": [None, True, "ä\"\\\n"]}])
    )
    found = qdrant.retrieve(name, [1, 2], with_vectors=True)
    assert [(r.vector, r.payload) for r in found] == [([1, 0], {"a": 1}), ([0, 1], {"a": [None, True, "ä\"\\\n"]})]
    qdrant.delete_collection(name)


def test_uuids_are_ids(qdrant):
    name = fresh(qdrant, models.VectorParams(size=2, distance=models.Distance.DOT))
    ids = [str(uuid.UUID(int=number << 64 | 77)) for number in range(5)]
    qdrant.upsert(name, [models.PointStruct(id=id, vector=[n, 1], payload={"n": n}) for n, id in enumerate(ids)])
    qdrant.upsert(name, [models.PointStruct(id=77, vector=[99, 1])])
    assert [record.payload["n"] for record in qdrant.retrieve(name, [ids[3], ids[1]])] == [3, 1]
    best = qdrant.query_points(name, query=[1.0, 0.0], limit=2).points
    assert [point.id for point in best] == [77, ids[4]]
    by_id = qdrant.query_points(name, query=ids[4], limit=10).points
    assert ids[4] not in [point.id for point in by_id] and len(by_id) == 5
    # Other spellings of a UUID name the same point.
    simple = uuid.UUID(ids[2]).hex
    assert qdrant.retrieve(name, [simple])[0].id == ids[2]
    qdrant.delete(name, [simple, 77])
    scrolled, _ = qdrant.scroll(name)
    assert sorted(record.id for record in scrolled) == sorted(set(ids) - {ids[2]})
    qdrant.delete_collection(name)


def test_points_are_deleted_by_ids(qdrant):
    name = fresh(qdrant, models.VectorParams(size=2, distance=models.Distance.DOT))
    qdrant.upsert(name, [models.PointStruct(id=id, vector=[id, 1]) for id in range(20)])
    qdrant.delete(name, [3, 4, 999], wait=True)
    qdrant.delete(name, models.PointIdsList(points=[19]))
    assert qdrant.count(name, exact=True).count == 17
    assert qdrant.retrieve(name, [3, 4, 19]) == []
    assert [point.id for point in qdrant.query_points(name, query=[1.0, 0.0], limit=2).points] == [18, 17]
    qdrant.upsert(name, [models.PointStruct(id=19, vector=[19, 1])])
    assert qdrant.query_points(name, query=[1.0, 0.0], limit=1).points[0].id == 19
    qdrant.delete_collection(name)


def test_upload_points_takes_a_generator(qdrant):
    name = fresh(qdrant, models.VectorParams(size=2, distance=models.Distance.DOT))
    points = (models.PointStruct(id=id, vector=[id, 1], payload=payload(id)) for id in range(500))
    qdrant.upload_points(name, points, batch_size=64, parallel=1, wait=True)
    assert qdrant.count(name, exact=True).count == 500
    qdrant.delete_collection(name)


def test_scroll_goes_through_all_points_in_order_of_ids(qdrant, filled):
    seen, offset = [], None
    while True:
        records, offset = qdrant.scroll(filled, limit=70, offset=offset, with_payload=["number"], with_vectors=True)
        seen += records
        if offset is None:
            break
        assert len(records) == 70
    assert [record.id for record in seen] == list(range(POINTS))
    assert all(record.payload == {"number": record.id} for record in seen)
    unit = BASE / np.linalg.norm(BASE, axis=1, keepdims=True)
    np.testing.assert_allclose([record.vector for record in seen], unit, atol=1e-6)
    middle, following = qdrant.scroll(filled, limit=5, offset=100)
    assert [record.id for record in middle] == [100, 101, 102, 103, 104] and following == 105


def test_count_is_exact(qdrant, filled):
    assert qdrant.count(filled, exact=True).count == POINTS
    assert qdrant.count(filled, exact=False).count == POINTS
    assert qdrant.get_collection(filled).points_count == POINTS


# Queries


@pytest.mark.parametrize("distance", list(models.Distance))
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_scores_and_order_are_those_of_numpy(qdrant, distance, named):
    space = models.VectorParams(size=DIMENSION, distance=distance)
    name = fresh(qdrant, {"other": models.VectorParams(size=2, distance=models.Distance.DOT), "it": space} if named else space)
    points = [
        models.PointStruct(id=id, vector={"it": vector.tolist(), "other": [1, id]} if named else vector.tolist())
        for id, vector in enumerate(BASE)
    ]
    qdrant.upsert(name, points, wait=True)
    using = {"using": "it"} if named else {}
    for query in QUERIES:
        order, expected = ranked(distance, query)
        found = qdrant.query_points(
            name, query=query.tolist(), limit=20, search_params=models.SearchParams(exact=True), **using
        ).points
        assert [point.id for point in found] == order[:20]
        np.testing.assert_allclose([point.score for point in found], expected[:20], rtol=1e-4, atol=1e-5)
        # The threshold keeps what is at least as near: above it for similarities, below it for distances.
        kept = next(k for k in range(5, 15) if abs(expected[k] - expected[k - 1]) > 1e-4)  # no near tie at the threshold
        threshold = float(expected[kept] + expected[kept - 1]) / 2
        near = qdrant.query_points(name, query=query, limit=20, score_threshold=threshold, **using)
        assert [point.id for point in near.points] == order[:kept]
        paged = qdrant.query_points(name, query=query, limit=5, offset=10, **using).points
        assert [point.id for point in paged] == order[10:15]
    qdrant.delete_collection(name)


def test_a_query_by_id_leaves_the_point_itself_out(qdrant, filled):
    order, expected = ranked(models.Distance.COSINE, BASE[42])
    found = qdrant.query_points(filled, query=42, limit=10).points
    assert order[0] == 42 and [point.id for point in found] == order[1:11]
    np.testing.assert_allclose([point.score for point in found], expected[1:11], atol=1e-5)
    nearest = qdrant.query_points(filled, query=models.NearestQuery(nearest=42), limit=10).points
    assert [point.id for point in nearest] == order[1:11]
    with pytest.raises(UnexpectedResponse) as absent:
        qdrant.query_points(filled, query=999_999)
    assert absent.value.status_code == 404


def test_selectors_choose_payload_and_vectors(qdrant, filled):
    def first(**selectors):
        return qdrant.query_points(filled, query=BASE[7].tolist(), limit=1, **selectors).points[0]

    assert first().payload == payload(7)
    assert not first(with_payload=False).payload
    assert first(with_payload=["color"]).payload == {"color": COLORS[7 % 3]}
    assert first(with_payload=["nested.odd", "number"]).payload == {"nested": {"odd": True}, "number": 7}
    assert first(with_payload=models.PayloadSelectorInclude(include=["nested"])).payload == {"nested": payload(7)["nested"]}
    assert first(with_payload=models.PayloadSelectorExclude(exclude=["nested", "color"])).payload == {"number": 7}
    assert first().vector is None
    np.testing.assert_allclose(first(with_vectors=True).vector, BASE[7] / np.linalg.norm(BASE[7]), atol=1e-6)


def test_named_vectors_are_selected_by_name_and_may_be_missing(qdrant):
    space = models.VectorParams(size=2, distance=models.Distance.DOT)
    name = fresh(qdrant, {"a": space, "b": space})
    qdrant.upsert(
        name,
        [
            models.PointStruct(id=1, vector={"a": [1, 0], "b": [0, 1]}),
            models.PointStruct(id=2, vector={"a": [2, 0]}),
            models.PointStruct(id=3, vector={"b": [0, 3]}),
        ],
    )
    found = qdrant.query_points(name, query=[1.0, 0.0], using="a", with_vectors=["b"]).points
    assert [point.id for point in found] == [2, 1]
    assert found[1].vector == {"b": [0, 1]}
    assert not found[0].vector
    everything = {record.id: record.vector for record in qdrant.scroll(name, with_vectors=True)[0]}
    assert everything == {1: {"a": [1, 0], "b": [0, 1]}, 2: {"a": [2, 0]}, 3: {"b": [0, 3]}}
    with pytest.raises(UnexpectedResponse) as unknown:
        qdrant.query_points(name, query=[1.0, 0.0], using="c")
    assert unknown.value.status_code == 400
    qdrant.delete_collection(name)


def test_parameters_change_the_effort_and_not_the_scores(qdrant, filled):
    order, expected = ranked(models.Distance.COSINE, QUERIES[0])
    for params in (models.SearchParams(hnsw_ef=256), models.SearchParams(exact=True), models.SearchParams(indexed_only=False)):
        found = qdrant.query_points(filled, query=QUERIES[0].tolist(), limit=10, search_params=params).points
        assert [point.id for point in found] == order[:10]
        np.testing.assert_allclose([point.score for point in found], expected[:10], atol=1e-5)


def test_a_batch_answers_each_query_in_order(qdrant, filled):
    requests = [
        models.QueryRequest(query=QUERIES[0].tolist(), limit=3, with_payload=True),
        models.QueryRequest(query=42, limit=2),
        models.QueryRequest(query=QUERIES[1].tolist(), limit=1, offset=4),
    ]
    first, second, third = qdrant.query_batch_points(filled, requests)
    assert [p.id for p in first.points] == ranked(models.Distance.COSINE, QUERIES[0])[0][:3]
    assert first.points[0].payload == payload(first.points[0].id)
    assert [p.id for p in second.points] == ranked(models.Distance.COSINE, BASE[42])[0][1:3]
    assert [p.id for p in third.points] == ranked(models.Distance.COSINE, QUERIES[1])[0][4:5]
    assert not second.points[0].payload


def test_the_older_search_endpoints_answer_too(raw, filled):
    order, expected = ranked(models.Distance.COSINE, QUERIES[2])
    body = {
        "vector": QUERIES[2].tolist(), "limit": 4, "offset": 1, "with_payload": True, "with_vector": True,
        "params": {"hnsw_ef": 128}, "score_threshold": -1.0,
    }  # fmt: skip
    found = raw.post(f"/collections/{filled}/points/search", body).expect(200)
    assert [point["id"] for point in found] == order[1:5]
    assert found[0]["payload"] == payload(order[1]) and len(found[0]["vector"]) == DIMENSION
    np.testing.assert_allclose([point["score"] for point in found], expected[1:5], atol=1e-5)
    batch = {"searches": [body, {"vector": QUERIES[3].tolist(), "limit": 1}]}
    first, second = raw.post(f"/collections/{filled}/points/search/batch", batch).expect(200)
    assert first == found
    assert second[0]["id"] == ranked(models.Distance.COSINE, QUERIES[3])[0][0]


def test_an_older_search_takes_a_named_vector(qdrant, raw):
    name = fresh(qdrant, {"a": models.VectorParams(size=2, distance=models.Distance.DOT)})
    qdrant.upsert(name, [models.PointStruct(id=1, vector={"a": [1, 2]})])
    body = {"vector": {"name": "a", "vector": [1, 1]}, "limit": 1}
    found = raw.post(f"/collections/{name}/points/search", body).expect(200)
    assert (found[0]["id"], found[0]["score"]) == (1, 3)
    qdrant.delete_collection(name)


def test_one_point_is_read_by_its_path(raw, filled):
    point = raw.get(f"/collections/{filled}/points/7").expect(200)
    assert point["id"] == 7 and point["payload"] == payload(7) and len(point["vector"]) == DIMENSION


# Service


def test_the_service_endpoints_answer(raw):
    assert raw.get("/").json["version"]
    for path in ("/healthz", "/livez", "/readyz"):
        assert raw.get(path).status == 200
    metrics = raw.get("/metrics")
    assert metrics.status == 200 and metrics.headers["Content-Type"].startswith("text/plain")
    samples = [line for line in metrics.text.decode().splitlines() if line and not line.startswith("#")]
    assert samples and all(float(line.rpartition(" ")[2]) is not None for line in samples)
    assert any(line.startswith("shoal_") for line in samples)


def test_the_cluster_is_described_in_the_dialect(qdrant, raw, filled):
    cluster = raw.get("/cluster").expect(200)
    assert cluster["status"] == "enabled" and len(cluster["peers"]) == 3
    assert qdrant.cluster_status().peer_id
    shards = raw.get(f"/collections/{filled}/cluster").expect(200)
    assert shards["shard_count"] == 3
    assert shards["peer_id"] == cluster["peer_id"]
    assert qdrant.collection_cluster_info(filled).shard_count == 3

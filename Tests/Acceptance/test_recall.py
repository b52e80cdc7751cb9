"""The full real data set over HTTP: nearest neighbours, payloads and counts."""

import pytest

from conftest import COLLECTION
from wordnet import full_is_there

pytestmark = pytest.mark.skipif(
    not full_is_there(), reason="the full data set is not there (SHOAL_TEST_DATA, default ../shared/data)"
)


def mean_recall(cluster, wordnet, rows, **options):
    """Asks every query of `rows`, in turn on each node, and checks each answer against the data."""
    bodies = wordnet.query_bodies(**options)
    clients = [cluster.client(node) for node in (1, 2, 3)]
    total = 0.0
    for row in rows:
        answer = clients[row % 3].post(f"/collections/{COLLECTION}/points/query", bodies[row])
        points = answer.expect(200)["points"]
        ids = [point["id"] for point in points]
        assert len(ids) == len(set(ids)) == 10
        scores = [point["score"] for point in points]
        assert scores == sorted(scores, reverse=True)
        for point in points:
            assert point["payload"] == wordnet.payloads[point["id"]]
            assert point["score"] == pytest.approx(wordnet.score(row, point["id"]), abs=2e-5)
        total += wordnet.recall(row, ids)
    return total / len(rows)


def test_points_are_found_as_soon_as_they_are_acknowledged(wordnet_cluster, wordnet):
    assert mean_recall(wordnet_cluster, wordnet, range(0, 1000, 10)) >= 0.95


def test_the_count_is_exact_on_every_node(wordnet_cluster, wordnet):
    for node in (1, 2, 3):
        counted = wordnet_cluster.client(node).post(f"/collections/{COLLECTION}/points/count", {"exact": True})
        assert counted.expect(200)["count"] == len(wordnet.ids)


def test_recall_at_10_is_at_least_95_percent_with_default_settings(wordnet_cluster, wordnet, measured):
    wordnet_cluster.wait_until_indexed()
    recall = mean_recall(wordnet_cluster, wordnet, range(1000))
    measured(f"recall@10 over HTTP, {len(wordnet.ids):,} points, 1,000 queries, default settings: {recall:.4f}")
    assert recall >= 0.95


def test_exact_search_finds_the_exact_neighbours(wordnet_cluster, wordnet):
    recall = mean_recall(wordnet_cluster, wordnet, range(0, 1000, 50), params={"exact": True})
    # Neighbours of equal score may come in either order at the tenth place.
    assert recall >= 0.995

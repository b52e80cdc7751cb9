"""Clusters and data that the tests share. A cluster starts when the first test asks for it and stops after the last."""

import shutil

import pytest

from cluster import BINARY, Cluster
from wordnet import WordNet, full_is_there, load

COLLECTION = "wordnet"
MEASURED = pytest.StashKey[list]()


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not there; `make build` makes it", returncode=2)


@pytest.fixture
def new_cluster(tmp_path, request):
    """Makes clusters that belong to one test: `new_cluster(nodes=3, ...)`, not yet started."""
    made = []

    def make(**options):
        made.append(Cluster(tmp_path / f"cluster-{len(made)}", **options))
        request.node.clusters = made
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


def session_cluster(folder, **options):
    cluster = Cluster(folder, **options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.data, ignore_errors=True)


@pytest.fixture(scope="session")
def small_cluster(tmp_path_factory):
    """Three nodes without data, for tests that make collections of their own."""
    yield from session_cluster(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def wordnet():
    """The full set; the sample where it is not there."""
    return WordNet.full() if full_is_there() else WordNet.sample()


@pytest.fixture(scope="session")
def sample():
    return WordNet.sample()


@pytest.fixture(scope="session")
def empty_wordnet_cluster(tmp_path_factory):
    yield from session_cluster(tmp_path_factory.mktemp("wordnet"))


@pytest.fixture(scope="session")
def wordnet_cluster(empty_wordnet_cluster, wordnet):
    """Three nodes, replication factor 2, three shards, default settings, with `wordnet` loaded."""
    cluster = empty_wordnet_cluster
    cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
    load([cluster.client(node) for node in (1, 2, 3)], COLLECTION, wordnet.bodies())
    return cluster


def pytest_collection_modifyitems(items):
    """The tests that look at the loaded data set run before those that write more into it; the rest keeps its order."""
    items.sort(key=lambda item: item.path.name != "test_recall.py")


@pytest.fixture(scope="session")
def measured(request):
    """Takes lines that the run's closing report shows: what was measured, beside that it was enough."""
    return request.config.stash.setdefault(MEASURED, []).append


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(MEASURED, [])
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the ends of the nodes' logs beside a failure."""
    report = yield
    if report.failed:
        shared = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Cluster)]
        for cluster in shared + getattr(item, "clusters", []):
            report.sections.append(("the nodes' logs", cluster.logs()))
    return report

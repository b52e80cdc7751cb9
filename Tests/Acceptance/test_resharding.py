"""Physical shards are split and merged while clients query and write, and while participants are killed."""

import json
import time

import pytest

from client import ConnectionBroken
from cluster import eventually
from replicas import assert_replicas_are_equal
from wordnet import load
from workload import BROKEN, UNAVAILABLE, WRONG, Workload

COLLECTION = "resharded"
FIRST_WRITTEN = 100_000_000
SLOW = ("--max-bytes-per-second", 400_000)


def make(new_cluster, sample, **options):
    cluster = new_cluster(**options)
    cluster.start()
    client = cluster.client()
    client.put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
    index = {"field_name": "category", "field_schema": "keyword"}
    client.put(f"/collections/{COLLECTION}/index?wait=true", index).expect(200)
    load([cluster.client(node) for node in range(1, cluster.nodes + 1)], COLLECTION, sample.bodies())
    cluster.wait_until_indexed()
    return cluster


def ask(cluster, method, path, body=None):
    """The answer of whichever node gives one."""
    for node in range(1, cluster.nodes + 1):
        try:
            answer = cluster.client(node, timeout=10).request(method, path, body and json.dumps(body).encode())
        except ConnectionBroken:
            continue
        if answer.status == 200:
            return answer.json["result"]
    return None


def shards_of(cluster):
    tables = ask(cluster, "GET", f"/shoal/shards?collection={COLLECTION}")
    return {shard["number"]: shard for shard in tables[0]["shards"]} if tables else {}


def serving(cluster):
    return {number: shard for number, shard in shards_of(cluster).items() if not shard["isFilling"]}


def filling(cluster):
    return {number: shard for number, shard in shards_of(cluster).items() if shard["isFilling"]}


def count(cluster, node=1, **body):
    return cluster.client(node).post(f"/collections/{COLLECTION}/points/count", {"exact": True, **body}).expect(200)["count"]


def operations(cluster):
    return ask(cluster, "GET", "/shoal/operations") or []


def operation(cluster, id):
    return next((operation for operation in operations(cluster) if operation["id"] == id), None)


def split(cluster, *options):
    """Begins a split; the operation's id."""
    report = json.loads(cluster.cli("cluster", "split", "--collection", COLLECTION, "--no-wait", "--json", *options))
    return report["operations"][0]["id"]


def wait_for(cluster, id, within=120):
    def ended():
        found = operation(cluster, id)
        return found and found["state"] in ("done", "failed", "cancelled") and found

    return eventually(ended, within, f"the end of {id}: {operations(cluster)}")


def owned(cluster):
    """The virtual shards of all serving shards; each must have one owner."""
    slots = [
        slot for shard in serving(cluster).values() for lower, upper in map(range_of, shard["virtualShards"])
        for slot in range(lower, upper + 1)
    ]
    assert sorted(slots) == list(range(128)), slots


def range_of(entry):
    return (entry["lower"], entry["upper"]) if isinstance(entry, dict) else tuple(entry)


def answers(cluster, sample, queries=40):
    """What exact searches, and filtered ones, find and score."""
    found = []
    kinds = sorted({payload["category"] for payload in sample.payloads.values()})
    for row in range(queries):
        condition = {"must": [{"key": "category", "match": {"value": kinds[row % len(kinds)]}}]}
        for extra in ({}, {"filter": condition}):
            body = {"query": sample.queries[row].tolist(), "limit": 10, "params": {"exact": True}, **extra}
            points = cluster.client(1 + row % 3).post(f"/collections/{COLLECTION}/points/query", body).expect(200)["points"]
            found.append([(point["id"], round(point["score"], 4)) for point in points])
    return found


def versions(cluster, sample):
    """Of some points that nobody writes meanwhile."""
    result = {}
    for row in range(20):
        body = {"query": sample.vectors[7 * row].tolist(), "limit": 1, "params": {"exact": True}}
        point = cluster.client().post(f"/collections/{COLLECTION}/points/query", body).expect(200)["points"][0]
        result[point["id"]] = point["version"]
    return result


def check(cluster, sample, workload):
    """Nothing was lost, nothing came back, and all replicas are equal."""
    cluster.wait_until_ready()
    cluster.wait_until_in_sync()
    owned(cluster)
    written = workload.check_acknowledged()
    if not workload.uncertain:
        for node in range(1, cluster.nodes + 1):
            assert count(cluster, node) == len(sample.ids) + written
    assert_replicas_are_equal(cluster, COLLECTION)


@pytest.mark.parametrize("copies", [2, 1])
def test_three_six_twelve_six_three_under_load(new_cluster, sample, measured, copies):
    cluster = make(new_cluster, sample, replication_factor=copies)
    before, version = answers(cluster, sample), versions(cluster, sample)
    with Workload(cluster, COLLECTION, sample, first_id=FIRST_WRITTEN) as workload:
        eventually(lambda: workload.done("query") > 200 and workload.done("write") > 50, 60, "a steady load")
        for arguments, wanted in [
            (("split", "--all"), 6), (("split", "--all"), 12), (("merge", "--to", 6), 6), (("merge", "--to", 3), 3),
        ]:
            started, queries = time.monotonic(), workload.done("query")
            cluster.cli("cluster", *arguments[:1], "--collection", COLLECTION, *arguments[1:], timeout=400)
            assert len(serving(cluster)) == wanted and not filling(cluster)
            owned(cluster)
            writes = [note.seconds for note in workload.notes if note.kind == "write" and note.sent >= started - 1]
            measured(
                f"resharding to {wanted}, {copies} copies: {time.monotonic() - started:.1f} s, "
                f"slowest write {max(writes) * 1000:.0f} ms"
            )
            eventually(lambda: workload.done("query") > queries + 100, 60, "load afterwards")
    failed = workload.failures(WRONG, BROKEN, UNAVAILABLE)
    assert not failed, f"{len(failed)} requests: {failed[:5]}"
    check(cluster, sample, workload)
    assert answers(cluster, sample) == before
    assert versions(cluster, sample) == version
    assert workload.recall() >= 0.95
    # Whoever keeps what nobody needs any more would fill the disk.
    kept = {path.name for path in (cluster.data / "node-1" / "collections").glob("*/*")}
    assert kept <= {str(number) for number in serving(cluster)}, kept


def test_a_dry_run_says_what_and_why_and_changes_nothing(new_cluster, sample):
    cluster = make(new_cluster, sample, replication_factor=1)
    plan = json.loads(cluster.cli("cluster", "split", "--collection", COLLECTION, "--all", "--dry-run", "--json"))
    assert [len(step["into"]) for step in plan["steps"]] == [2, 2, 2] and all(step["reason"] for step in plan["steps"])
    assert sum(step["points"] for step in plan["steps"]) == len(sample.ids)
    plan = json.loads(cluster.cli("cluster", "merge", "--collection", COLLECTION, "--to", 1, "--dry-run", "--json"))
    assert [step["from"] for step in plan["steps"]] == [[0, 1, 2]]
    assert "Plan:" in cluster.cli("cluster", "merge", "--collection", COLLECTION, "--shards", "0,1", "--dry-run")
    assert not operations(cluster) and set(serving(cluster)) == {0, 1, 2}
    for arguments in (("split", "--shard", 9), ("split", "--shard", 0, "--into", 99), ("merge", "--to", 3), ("merge", "--shards", "0")):
        done = cluster.cli("cluster", arguments[0], "--collection", COLLECTION, *arguments[1:], check=False)
        assert done.returncode == 1 and done.stderr, arguments


def test_a_cancelled_split_leaves_everything_as_it_was(new_cluster, sample):
    cluster = make(new_cluster, sample, replication_factor=2)
    before = serving(cluster)
    with Workload(cluster, COLLECTION, sample, clients=4, first_id=FIRST_WRITTEN) as workload:
        id = split(cluster, "--shard", 1, *SLOW)
        eventually(lambda: len(filling(cluster)) == 2, 30, "new shards")
        assert "filling" in cluster.cli("cluster", "shards", "--collection", COLLECTION)
        # Nothing else touches the shard meanwhile.
        target = next(n for n in (1, 2, 3) if n not in {r["node"] for r in before[1]["replicas"]})
        source = before[1]["replicas"][0]["node"]
        moving = cluster.cli(
            "cluster", "move", "--collection", COLLECTION, "--shard", 1, "--from", source, "--to", target, check=False
        )
        assert moving.returncode == 1 and "not over" in moving.stderr
        cluster.cli("cluster", "cancel", id)
        assert wait_for(cluster, id)["state"] == "cancelled"
    assert not workload.failures(WRONG, BROKEN, UNAVAILABLE), workload.failures(WRONG, BROKEN, UNAVAILABLE)[:5]
    assert set(serving(cluster)) == set(before) and not filling(cluster)
    check(cluster, sample, workload)
    nodes = [cluster.data / f"node-{node}" / "collections" for node in (1, 2, 3)]
    eventually(
        lambda: {path.name for node in nodes for path in node.glob("*/*")} == {"0", "1", "2"}, 30, "no file is left over")


def node_of(cluster, role, shard):
    if role == "controller":
        return next(node["id"] for node in cluster.cluster_status()["nodes"] if node["isController"])
    found = serving(cluster)[shard] if role == "old primary" else next(iter(filling(cluster).values()))
    return next(replica["node"] for replica in found["replicas"] if replica["isPrimary"])


@pytest.mark.parametrize("role", ["new primary", "old primary", "controller"])
def test_a_participant_is_killed_while_points_are_copied(new_cluster, sample, role):
    cluster = make(new_cluster, sample, replication_factor=2)
    with Workload(cluster, COLLECTION, sample, clients=4, first_id=FIRST_WRITTEN) as workload:
        id = split(cluster, "--shard", 0, *SLOW)
        eventually(lambda: (operation(cluster, id) or {}).get("bytesDone", 0) > 0, 30, "points being copied")
        assert len(filling(cluster)) == 2
        cluster.kill(node_of(cluster, role, 0))
        assert wait_for(cluster, id)["state"] == "done", operations(cluster)
    assert not workload.failures(WRONG), workload.failures(WRONG)[:5]
    assert 0 not in serving(cluster) and len(serving(cluster)) == 4
    check(cluster, sample, workload)


@pytest.mark.parametrize("role", ["new primary", "old primary", "controller"])
def test_a_participant_is_killed_around_the_cut_over(new_cluster, sample, role):
    """Several splits, one after another; each time the node dies a step later: the last time just after the swap."""
    cluster = make(new_cluster, sample, replication_factor=2)
    with Workload(cluster, COLLECTION, sample, clients=4, first_id=FIRST_WRITTEN) as workload:
        for turn in range(3):
            cluster.wait_until_in_sync()
            shard = min(serving(cluster))
            # Not faster than that the new shards are seen.
            id = split(cluster, "--shard", shard, "--max-bytes-per-second", 2_000_000)
            eventually(lambda: filling(cluster), 60, "new shards")
            victim = node_of(cluster, role, shard)

            def is_close():
                found = operation(cluster, id)
                steps = ("replicas", "take over")[turn:]
                return found and (found["state"] == "done" or any(step in found["detail"] for step in steps))

            eventually(is_close, 120, "the new shards being about to take over")
            cluster.kill(victim)
            assert wait_for(cluster, id)["state"] == "done", operations(cluster)
            cluster.wait_until_ready()
    assert not workload.failures(WRONG), workload.failures(WRONG)[:5]
    assert len(serving(cluster)) == 6
    check(cluster, sample, workload)


def test_the_whole_cluster_is_restarted_in_the_middle(new_cluster, sample):
    cluster = make(new_cluster, sample, replication_factor=2)
    with Workload(cluster, COLLECTION, sample, clients=4, first_id=FIRST_WRITTEN) as workload:
        report = json.loads(
            cluster.cli("cluster", "merge", "--collection", COLLECTION, "--to", 1, "--no-wait", "--json", *SLOW)
        )
        id = report["operations"][0]["id"]
        eventually(lambda: (operation(cluster, id) or {}).get("bytesDone", 0) > 0, 30, "points being copied")
        cluster.kill(1, 2, 3)
        cluster.wait_until_ready()
        assert wait_for(cluster, id)["state"] == "done", operations(cluster)
    assert not workload.failures(WRONG), workload.failures(WRONG)[:5]
    assert len(serving(cluster)) == 1
    check(cluster, sample, workload)


def test_what_a_process_has_filled_can_be_replaced_in_it(new_cluster, sample):
    """Found by faults soon after a split: the files of a shard that its node had filled were in use for ever, and no snapshot
    could be put in their place before the node was started anew."""
    cluster = make(new_cluster, sample, nodes=2, replication_factor=2, shards=1)
    cluster.cli("cluster", "split", "--collection", COLLECTION, "--all")
    for number, shard in serving(cluster).items():
        (primary,) = [replica["node"] for replica in shard["replicas"] if replica["isPrimary"]]
        cluster.cli("cluster", "repair", "--collection", COLLECTION, "--shard", number, "--node", primary)
        eventually(lambda: serving(cluster)[number]["epoch"] > shard["epoch"], 60, "the replica has left the in-sync set")
        cluster.wait_until_in_sync()
    assert_replicas_are_equal(cluster, COLLECTION)


def test_requests_that_come_again_after_a_split_and_a_merge_are_not_done_again(new_cluster):
    cluster = new_cluster(replication_factor=2)
    cluster.start()
    path = f"/collections/{COLLECTION}/points"
    cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 2, "distance": "Dot"}}).expect(200)

    def upsert(by, request_id, ids=range(300), **condition):
        points = [{"id": id, "vector": [1, id], "payload": {"by": by}, **condition} for id in ids]
        return cluster.client().put(f"{path}?wait=true", {"points": points, "request_id": request_id})

    def writers():
        points = cluster.client().post(f"{path}/scroll", {"limit": 1_000, "with_payload": True}).expect(200)["points"]
        return {point["id"]: point["payload"]["by"] for point in points}

    everything = {"filter": {"must": [{"key": "by", "match": {"value": "first"}}]}, "request_id": "delete"}
    first = upsert("first", "first", if_version=0).expect(200)
    cluster.client().post(f"{path}/delete?wait=true", everything).expect(200)
    upsert("first", "once more").expect(200)
    upsert("second", "second", range(200)).expect(200)
    expected = writers()
    for arguments in (("split", "--all"), ("merge", "--to", 2), ("split", "--all"), ("merge", "--to", 1)):
        cluster.cli("cluster", arguments[0], "--collection", COLLECTION, *arguments[1:])
        # The condition does not hold any more, and is not asked again; nothing is written or deleted a second time.
        assert upsert("first", "first", if_version=0).expect(200) == first
        cluster.client().post(f"{path}/delete?wait=true", everything).expect(200)
        upsert("first", "once more").expect(200)
        assert writers() == expected
        assert upsert("other", "second", range(200)).status == 422
    # Also a primary that was a backup knows them.
    cluster.kill(1, 2, 3)
    cluster.wait_until_ready()
    upsert("first", "once more").expect(200)
    assert writers() == expected
    cluster.wait_until_in_sync()
    assert_replicas_are_equal(cluster, COLLECTION)

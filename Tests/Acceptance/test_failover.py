"""kill -9 of one node while eight clients query and write: a pause of at most two seconds, and nothing lost or wrong."""

import os
import signal
import time

import pytest

from cluster import eventually
from conftest import COLLECTION
from replicas import assert_replicas_are_equal
from workload import BROKEN, UNAVAILABLE, WRONG, Workload

PAUSE = 2.0
LEASE = 3.0  # replication.leaseDuration's default
FIRST_WRITTEN = 10_000_000


@pytest.fixture(scope="module")
def indexed_cluster(wordnet_cluster):
    wordnet_cluster.wait_until_indexed()
    wordnet_cluster.wait_until_in_sync()
    return wordnet_cluster


def summary(workload, killed, victim):
    """What the clients saw."""
    failed = workload.failures(UNAVAILABLE, BROKEN)
    elsewhere = [note for note in failed if note.node != victim]
    last = max((note.sent + note.seconds - killed for note in elsewhere), default=0.0)
    slowest = max(note.seconds for note in workload.notes if note.kind == "query" and note.outcome == "ok")
    return (
        f"node {victim} killed: {workload.done('query')} queries and {workload.done('write')} writes succeeded, "
        f"{len(failed) - len(elsewhere)} requests failed at the killed node, {len(elsewhere)} elsewhere (503), the last "
        f"{last:.2f} s after the kill; slowest good query {slowest * 1000:.0f} ms; recall@10 "
        f"{workload.recall(stop=killed):.4f} before, {workload.recall(start=killed):.4f} after"
    )


def describe(notes, killed):
    return [f"{n.kind} to node {n.node} at {n.sent - killed:+.2f} s: {n.outcome} {n.detail[:200]}" for n in notes[:8]]


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_one_killed_node_is_survived_and_rejoins_by_itself(indexed_cluster, wordnet, victim, measured):
    cluster = indexed_cluster
    first_id = FIRST_WRITTEN * (victim + 1)
    with Workload(cluster, COLLECTION, wordnet, seed=victim, first_id=first_id) as workload:
        eventually(lambda: workload.done("query") > 400 and workload.done("write") > 100, 60, "a steady load")
        roles = cluster.cluster_status()
        old_pid = cluster.pid(victim)
        killed = cluster.kill(victim)
        eventually(lambda: cluster.pid(victim) not in (None, old_pid), 30, "the supervisor starts the node again")
        eventually(lambda: cluster.is_ready(victim), 30, "the node is ready again")
        cluster.wait_until_in_sync()
        rejoined = time.monotonic()
        # Past the pause too, also when the node was back sooner.
        since = max(rejoined, killed + PAUSE)
        eventually(lambda: workload.done("query", since) > 400 and workload.done("write", since) > 100, 60, "load afterwards")

    measured(summary(workload, killed, victim))
    assert not workload.failures(WRONG), describe(workload.failures(WRONG), killed)
    # To the killed node itself connections break and answers are 503 until it is back; to others only in the pause.
    early = [note for note in workload.failures(UNAVAILABLE, BROKEN) if note.sent + note.seconds < killed]
    assert not early, describe(early, killed)
    broken = [note for note in workload.failures(BROKEN) if note.node != victim]
    assert not broken, describe(broken, killed)
    late = [
        note
        for note in workload.failures(UNAVAILABLE, BROKEN)
        if note.sent > killed + PAUSE and (note.node != victim or note.sent > rejoined)
    ]
    assert not late, f"{describe(late, killed)}; roles {roles['nodes']}"
    # Nor does a query wait longer than the pause for its answer.
    slow = [n for n in workload.notes if n.kind == "query" and n.sent + n.seconds > max(n.sent, killed) + PAUSE]
    assert not slow, describe(slow, killed)
    assert workload.done("write", killed + PAUSE) > 0

    before, after = workload.recall(stop=killed), workload.recall(start=killed)
    assert after >= 0.95 and after >= before - 0.02, f"recall {before:.4f} before, {after:.4f} after"
    for node in (1, 2, 3):
        assert workload.check_acknowledged(node) > 0
    assert_replicas_are_equal(cluster, COLLECTION, start=FIRST_WRITTEN)


def test_a_node_that_hangs_and_wakes_up_says_nothing_stale(indexed_cluster, wordnet):
    """SIGSTOP: connections stay open and nothing answers. Its lease runs out, others take over; then it wakes up."""
    cluster, victim = indexed_cluster, 2
    with Workload(cluster, COLLECTION, wordnet, seed=9, first_id=FIRST_WRITTEN * 9) as workload:
        eventually(lambda: workload.done("query") > 400 and workload.done("write") > 100, 60, "a steady load")
        pid = cluster.pid(victim)
        assert cluster.owns(pid)
        stopped = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:

            def taken_over():
                """Writes that the clients of the other nodes sent after the lease had run out are acknowledged."""
                since = stopped + LEASE + PAUSE
                return sum(n.kind == "write" and n.outcome == "ok" and n.sent > since for n in workload.notes) > 30

            eventually(taken_over, 30, "writes go on without the node that hangs")
        finally:
            os.kill(pid, signal.SIGCONT)
        woken = time.monotonic()
        cluster.wait_until_in_sync()
        eventually(lambda: workload.done("query", woken) > 400, 60, "load afterwards")

    assert cluster.pid(victim) == pid, "the node was started anew"
    assert not workload.failures(WRONG), describe(workload.failures(WRONG), stopped)
    late = [n for n in workload.failures(UNAVAILABLE, BROKEN) if n.node != victim and n.sent > stopped + LEASE + PAUSE]
    assert not late, describe(late, stopped)
    for node in (1, 2, 3):
        assert workload.check_acknowledged(node) > 0
    assert_replicas_are_equal(cluster, COLLECTION, start=FIRST_WRITTEN)


def test_all_replicas_are_the_same_point_by_point(indexed_cluster, wordnet):
    assert assert_replicas_are_equal(indexed_cluster, COLLECTION) >= len(wordnet.ids)

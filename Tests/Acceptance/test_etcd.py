"""The three-node cluster with its control store in etcd: everything that it does on the files of one machine, and what
happens when etcd, or a part of it, is not there."""

import os
import signal
import subprocess
import time

import pytest

from cluster import eventually, shoal
from conftest import COLLECTION
from etcd import ETCD, Etcd
from replicas import assert_replicas_are_equal
from wordnet import load
from workload import BROKEN, UNAVAILABLE, WRONG, Workload

pytestmark = pytest.mark.skipif(
    not ETCD and "SHOAL_STRICT" not in os.environ, reason="etcd is not installed; Scripts/install-dependencies --tests"
)

LEASE = 5.0  # replication.leaseDuration's default with etcd


@pytest.fixture
def new_etcd(tmp_path):
    made = []

    def make(members=1, **options):
        made.append(Etcd(tmp_path / f"etcd-{len(made)}", members, **options).start())
        return made[-1]

    yield make
    for etcd in made:
        etcd.kill()


@pytest.fixture
def loaded(new_etcd, new_cluster, sample):
    """Makes a cluster on an etcd of its own, with the sample loaded."""

    def make(*options, members=1, settings=""):
        etcd = new_etcd(members)
        cluster = new_cluster(settings=etcd.settings(settings))
        cluster.start(*options)
        cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
        load([cluster.client(node) for node in (1, 2, 3)], COLLECTION, sample.bodies())
        cluster.wait_until_in_sync()
        return etcd, cluster

    return make


def steady(workload, since=0.0):
    eventually(
        lambda: workload.done("query", since) > 200 and workload.done("write", since) > 50, 60, "a steady load"
    )


def describe(notes, start):
    return [f"{n.kind} to node {n.node} at {n.sent - start:+.2f} s: {n.outcome} {n.detail[:200]}" for n in notes[:8]]


def check_everything(cluster, workload, nodes=(1, 2, 3)):
    for node in nodes:
        assert workload.check_acknowledged(node) > 0


@pytest.mark.parametrize("restarts", [True, False], ids=["restarted", "left down"])
def test_a_killed_node_is_survived_within_its_lease(loaded, sample, measured, restarts):
    """Nobody sees a process die through etcd: its lease has to run out, unless the process that takes its place knows
    that it is gone."""
    victim = 2
    _, cluster = loaded(*([] if restarts else ["--no-restart"]))
    with Workload(cluster, COLLECTION, sample, seed=victim) as workload:
        steady(workload)
        old = cluster.pid(victim)
        killed = cluster.kill(victim)
        if restarts:
            eventually(lambda: cluster.pid(victim) not in (None, old), 30, "the supervisor starts the node again")
            eventually(lambda: cluster.is_ready(victim), 30, "the node is ready again")
            cluster.wait_until_in_sync()
        steady(workload, max(time.monotonic(), killed + LEASE + 1))
    failed = [n for n in workload.failures(UNAVAILABLE, BROKEN) if n.node != victim]
    last = max((n.sent + n.seconds - killed for n in failed), default=0.0)
    stalled = max((n.sent + n.seconds - killed for n in workload.notes if n.kind == "write" and n.outcome == "ok"
                   and n.sent < killed + LEASE + 1 and n.seconds > 0.5), default=0.0)  # fmt: skip
    measured(
        f"etcd, node {victim} killed, {'restarted' if restarts else 'left down'}: {len(failed)} requests failed at other "
        f"nodes, the last {last:.2f} s after the kill; the last write that waited was answered after {stalled:.2f} s"
    )
    assert not workload.failures(WRONG), describe(workload.failures(WRONG), killed)
    late = [n for n in failed if n.sent > killed + LEASE + 1]
    assert not late, describe(late, killed)
    first_after = min(n.sent + n.seconds for n in workload.notes if n.kind == "write" and n.outcome == "ok"
                      and n.sent > killed + LEASE + 1)  # fmt: skip
    assert first_after < killed + LEASE + 3
    assert stalled < LEASE + 1
    check_everything(cluster, workload, (1, 2, 3) if restarts else (1, 3))
    if restarts:
        assert_replicas_are_equal(cluster, COLLECTION)


def test_a_node_that_hangs_and_wakes_up_says_nothing_stale(loaded, sample):
    """Its record is out of date when it wakes up, and so is its lease."""
    victim = 2
    _, cluster = loaded()
    with Workload(cluster, COLLECTION, sample, seed=5) as workload:
        steady(workload)
        pid = cluster.pid(victim)
        assert cluster.owns(pid)
        for pause in (1.5, LEASE + 2):
            stopped = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            try:
                eventually(lambda: time.monotonic() > stopped + pause, pause + 1, "the pause")
            finally:
                os.kill(pid, signal.SIGCONT)
            cluster.wait_until_in_sync()
            steady(workload, max(time.monotonic(), stopped + LEASE + 1))
    assert cluster.pid(victim) == pid, "the node was started anew"
    assert not workload.failures(WRONG), describe(workload.failures(WRONG), stopped)
    check_everything(cluster, workload)
    assert_replicas_are_equal(cluster, COLLECTION)


def test_the_loss_of_etcds_leader_is_not_noticed(loaded, sample):
    # Members that share two cores and a disk with all the rest have taken more than four seconds to agree.
    etcd, cluster = loaded(members=3, settings="replication: {leaseDuration: 15s}\n")
    with Workload(cluster, COLLECTION, sample, seed=3) as workload:
        steady(workload)
        killed = time.monotonic()
        etcd.kill(etcd.leader())
        # What changes records has to wait for the next leader, no more.
        for number in range(5):
            client = cluster.client(number % 3 + 1)
            client.put(f"/collections/other-{number}", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
            client = cluster.client((number + 1) % 3 + 1)
            client.get(f"/collections/other-{number}").expect(200)
            client.delete(f"/collections/other-{number}").expect(200)
        steady(workload, time.monotonic())
    failed = workload.failures(WRONG, UNAVAILABLE, BROKEN)
    assert not failed, describe(failed, killed)
    check_everything(cluster, workload)


def test_without_etcd_nodes_serve_until_their_leases_end_and_come_back_by_themselves(loaded, sample, measured):
    etcd, cluster = loaded()
    pids = cluster.pids()
    with Workload(cluster, COLLECTION, sample, seed=4) as workload:
        steady(workload)
        etcd.kill()
        gone = time.monotonic()
        eventually(lambda: any(n.outcome == UNAVAILABLE for n in list(workload.notes)), LEASE + 5, "answers end")
        eventually(lambda: not any(map(cluster.is_ready, (1, 2, 3))), LEASE + 5, "no node says that it is ready")
        eventually(
            lambda: all(n.outcome == UNAVAILABLE for n in list(workload.notes) if n.sent > time.monotonic() - 0.5 and n.seconds > 0),
            15, "nothing is answered any more",
        )  # fmt: skip
        answer = cluster.client(1).post(f"/collections/{COLLECTION}/points", {"ids": [1]})
        assert answer.status == 503 and "lease" in answer.error, answer.text
        ending = time.monotonic()
        etcd.start()
        back = time.monotonic()
        cluster.wait_until_ready(within=30)
        steady(workload, time.monotonic())
    ok = [n for n in workload.notes if n.kind == "query" and n.outcome == "ok"]
    last = max(n.sent + n.seconds for n in ok if n.sent + n.seconds < ending) - gone
    first = min(n.sent + n.seconds for n in ok if n.sent + n.seconds > ending) - back
    measured(f"etcd gone: queries are answered for {last:.2f} s more; {first:+.2f} s from when it has a leader again they are again")
    assert LEASE / 2 < last < LEASE + 0.5, last
    # Until then nothing fails, writes neither: acknowledgements need no control store.
    early = [n for n in workload.failures(UNAVAILABLE) if n.sent + n.seconds < gone + LEASE / 2]
    assert not early, describe(early, gone)
    assert not workload.failures(WRONG, BROKEN), describe(workload.failures(WRONG, BROKEN), gone)
    assert cluster.pids() == pids, "a node was started anew"
    check_everything(cluster, workload)
    cluster.wait_until_in_sync()
    assert_replicas_are_equal(cluster, COLLECTION)


def test_history_that_is_compacted_while_a_node_hangs_is_not_missed(loaded):
    """When the node wakes up, etcd was restarted and has forgotten what the node did not see."""
    etcd, cluster = loaded()
    pid = cluster.pid(3)
    assert cluster.owns(pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        etcd.kill()
        etcd.start()
        client = cluster.client(1)
        eventually(
            lambda: client.put(
                "/collections/meanwhile?timeout=5",
                {"vectors": {"size": 4, "distance": "Dot"}, "replication_factor": 1, "shard_number": 2},
            ).status == 200, 60, "a collection can be made without the node",
        )  # fmt: skip
        client.delete(f"/collections/{COLLECTION}").expect(200)
        etcd.compact()
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: cluster.is_ready(3), 30, "the node is back")

    def knows():
        """The node that hung knows one collection and not the other."""
        answers = [cluster.client(3).get(f"/collections/{name}").status for name in ("meanwhile", COLLECTION)]
        return answers == [200, 404]

    eventually(knows, 30, "the node knows what happened")
    cluster.client(3).delete("/collections/meanwhile").expect(200)
    cluster.client(1).put("/collections/later", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    cluster.client(3).get("/collections/later").expect(200)


def test_the_control_store_is_moved_to_etcd_and_back(new_etcd, new_cluster, sample):
    etcd, cluster = new_etcd(), new_cluster()
    elsewhere = cluster.folder / "etcd.yaml"
    elsewhere.write_text(cluster.config.read_text() + etcd.settings())
    files = cluster.config

    def copy(source, target):
        return shoal("control", "copy", "--from", source, "--to", target, "--data", cluster.data)

    cluster.start()
    cluster.client().put(f"/collections/{COLLECTION}", {"vectors": {"size": 384, "distance": "Cosine"}}).expect(200)
    load([cluster.client()], COLLECTION, sample.bodies())
    done = copy(files, elsewhere)
    assert done.returncode == 1 and "nodes are running: 1, 2, 3" in done.stderr, done.stderr
    count = lambda: cluster.client(2).post(f"/collections/{COLLECTION}/points/count", {}).expect(200)["count"]
    points = count()
    cluster.stop()

    for source, target, name in [(files, elsewhere, "etcd at"), (elsewhere, files, "the files in")]:
        done = copy(source, target)
        assert done.returncode == 0 and "Copied" in done.stdout, done.stdout + done.stderr
        done = copy(source, target)
        assert done.returncode == 0 and "nothing was changed" in done.stdout, done.stdout + done.stderr
        # No node starts on the store that was left.
        refused = shoal("up", "--config", source, "--data", cluster.data, "--detach")
        assert refused.returncode == 2 and f"copied to {name}" in refused.stderr, refused.stdout + refused.stderr
        cluster.config = target
        cluster.start()
        assert count() == points
        cluster.client(3).put(f"/collections/on-{target.stem}", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
        names = {entry["name"] for entry in cluster.client(1).get("/collections").expect(200)["collections"]}
        assert {COLLECTION, "on-etcd"} <= names
        cluster.stop()
    # A store that is in use is no target.
    other = new_etcd()
    third = cluster.folder / "third.yaml"
    third.write_text(files.read_text() + other.settings())
    assert copy(files, third).returncode == 0
    assert copy(third, elsewhere).returncode == 0
    assert copy(third, files).returncode == 1


def test_another_cluster_below_the_same_prefix_is_refused(new_etcd, new_cluster):
    etcd = new_etcd()
    first = new_cluster(nodes=1, replication_factor=1, settings=etcd.settings())
    first.start()
    second = new_cluster(nodes=1, replication_factor=1, settings=etcd.settings())
    refused = shoal("serve", "--config", second.config, "--data", second.data)
    assert refused.returncode == 2, refused.stderr
    assert "cluster.name" in refused.stderr and "empty data folder" in refused.stderr, refused.stderr
    # With a name of its own it is welcome, and each has its own records.
    second.config.write_text(second.config.read_text().replace("cluster:\n", "cluster:\n  name: second\n"))
    second.start()
    first.client().put("/collections/mine", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    assert second.client().get("/collections").expect(200)["collections"] == []


def test_etcd_is_spoken_to_with_certificates_and_without_them_it_says_what_is_missing(new_etcd, new_cluster, tmp_path):
    folder = tmp_path / "tls"
    make_certificates(folder)
    etcd = new_etcd(tls=folder)
    files = f"caFile: {folder}/ca.pem, certificateFile: {folder}/cert.pem, keyFile: {folder}/key.pem"
    good = new_cluster(nodes=1, replication_factor=1, settings=etcd.settings(f"    tls: {{{files}}}\n"))
    good.start()
    good.client().put("/collections/safe", {"vectors": {"size": 4, "distance": "Dot"}}).expect(200)
    bad = new_cluster(nodes=1, replication_factor=1, settings=etcd.settings(f"    tls: {{caFile: {folder}/ca.pem}}\n"))
    done = shoal("serve", "--config", bad.config, "--data", bad.data)
    assert done.returncode == 1 and etcd.endpoints[0] in done.stderr, done.stderr
    wrong = new_cluster(nodes=1, replication_factor=1, settings=etcd.settings("    tls: {caFile: none.pem}\n"))
    done = shoal("serve", "--config", wrong.config, "--data", wrong.data)
    assert done.returncode == 2 and "none.pem" in done.stderr, done.stderr


def make_certificates(folder):
    """An authority, and one certificate that etcd and its clients show."""
    folder.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
            "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=etcd",
            "-keyout", "key.pem", "-out", "request.pem")  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2,
            "-extfile", "names", "-out", "cert.pem")  # fmt: skip

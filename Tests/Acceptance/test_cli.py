"""`shoal up`, `down` and `status` as an operator uses them, and what they say of a wrong `cluster.yaml`."""

import json
import os
import signal
import socket
import subprocess

import pytest

from client import Client, ConnectionBroken
from cluster import BINARY, eventually, free_ports, is_running, shoal


@pytest.fixture
def stopped(new_cluster):
    return new_cluster(nodes=3)


@pytest.fixture
def running(stopped):
    stopped.start()
    return stopped


def states(cluster):
    return {node["id"]: node["state"] for node in cluster.status()["nodes"]}


def test_up_detached_leaves_a_ready_cluster_and_prints_its_urls(stopped):
    printed = stopped.start().stdout
    assert all(url in printed for url in stopped.urls)
    assert "down" in printed
    status = stopped.status()
    assert status["supervisor"]["running"] and is_running(status["supervisor"]["pid"])
    assert [node["id"] for node in status["nodes"]] == [1, 2, 3]
    for node, url in zip(status["nodes"], stopped.urls):
        assert node["state"] == "ready" and is_running(node["pid"]) and node["httpURL"] == url
        assert node["dataFolder"] == str(stopped.data / f"node-{node['id']}") and os.path.isdir(node["dataFolder"])
        assert os.path.getsize(node["logFile"]) > 0
        assert Client(url).get("/readyz").status == 200
    assert len({node["pid"] for node in status["nodes"]}) == 3


def test_status_for_people_shows_each_node(running):
    printed = running.cli("status")
    for node in running.status()["nodes"]:
        assert str(node["pid"]) in printed and node["httpURL"] in printed and node["rpcAddress"] in printed
        assert node["logFile"] in printed or os.path.relpath(node["logFile"]) in printed


def test_a_second_up_is_harmless(running):
    before = running.pids()
    again = running.start()
    assert "already" in again.stdout + again.stderr or "running" in again.stdout + again.stderr
    assert running.pids() == before


def test_down_stops_everything_and_a_second_down_is_harmless(running):
    pids = running.pids()
    assert shoal("down", *running.places).returncode == 0
    assert not any(map(is_running, pids))
    assert shoal("down", *running.places).returncode == 0
    status = shoal("status", "--json", *running.places)
    assert status.returncode == 3
    assert {node["state"] for node in json.loads(status.stdout)["nodes"]} == {"down"}


def test_data_outlives_down_and_up(running):
    client = running.client()
    client.put("/collections/kept", {"vectors": {"size": 2, "distance": "Dot"}}).expect(200)
    client.put("/collections/kept/points", {"points": [{"id": 1, "vector": [1, 2], "payload": {"a": 1}}]}).expect(200)
    running.stop()
    running.start()
    found = running.client(3).post("/collections/kept/points", {"ids": [1], "with_payload": True}).expect(200)
    assert found[0]["payload"] == {"a": 1}


def test_ctrl_c_stops_all_nodes_in_order(stopped):
    with open(stopped.folder / "up.log", "wb") as log:
        supervisor = subprocess.Popen(
            [BINARY, "up", *stopped.places], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        stopped.wait_until_ready()
        pids = stopped.pids()
        assert len(pids) == 4
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(60) in (0, 130)
        assert not any(map(is_running, pids))
    finally:
        if supervisor.poll() is None:
            supervisor.kill()
            supervisor.wait()
    for log in (stopped.data / "logs").glob("node-*.log"):
        assert "Fatal error" not in log.read_text(errors="replace")


def test_a_crashed_node_is_started_again(running):
    old = running.pid(2)
    running.kill(2)
    eventually(lambda: running.pid(2) not in (None, old), 30, "a new process")
    running.wait_until_ready()
    node = running.status()["nodes"][1]
    assert node["state"] == "ready" and node["restarts"] >= 1


def test_without_restart_a_crashed_node_stays_down(stopped):
    stopped.start("--no-restart")
    running = stopped
    running.kill(2)
    eventually(lambda: states(running) == {1: "ready", 2: "down", 3: "ready"}, 30, "node 2 seen as down")
    running.client(1).put("/collections/c", {"vectors": {"size": 2, "distance": "Dot"}}).expect(200)
    assert states(running)[2] == "down"


def test_nodes_of_a_killed_supervisor_are_never_out_of_reach(running):
    supervisor = running.status()["supervisor"]["pid"]
    assert running.owns(supervisor)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not is_running(supervisor), 10, "the supervisor is gone")
    nodes = [node["pid"] for node in running.status()["nodes"]]
    assert shoal("down", *running.places).returncode == 0
    assert not any(pid and is_running(pid) for pid in nodes)
    running.start()


def test_serve_needs_no_configuration(tmp_path):
    """Runs on the default ports; skipped where something else has them."""
    for port in (6333, 6335):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is in use")
    with open(tmp_path / "serve.log", "wb") as log:
        node = subprocess.Popen([BINARY, "serve"], cwd=tmp_path, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        client = Client("http://127.0.0.1:6333")

        def created():
            try:
                return client.put("/collections/c", {"vectors": {"size": 2, "distance": "Dot"}}).status == 200
            except ConnectionBroken:
                return False

        eventually(created, 30, "a node that serves")
        client.put("/collections/c/points", {"points": [{"id": 1, "vector": [1, 2]}]}).expect(200)
        assert (tmp_path / "data" / "node-1").is_dir()
        node.terminate()
        assert node.wait(30) == 0
    finally:
        if node.poll() is None:
            node.kill()
            node.wait()


# Configuration errors: exit code 2, the key and its line

MISTAKES = {
    "an unknown key": ("cluster:\n  nodeCount: 1\n  replicationfactor: 1\n", "replicationfactor", 3),
    "an unknown section": ("cluster:\n  nodeCount: 1\n\nclutser:\n  a: 1\n", "clutser", 4),
    "a count that is text": ("cluster:\n  nodeCount: three\n", "nodeCount", 2),
    "a count of zero": ("cluster:\n  nodeCount: 0\n", "nodeCount", 2),
    "more replicas than nodes": ("cluster:\n  nodeCount: 2\n  replicationFactor: 3\n", "replicationFactor", 3),
    "a port beyond its range": ("cluster:\n  nodeCount: 1\n  replicationFactor: 1\n  httpPort: 70000\n", "httpPort", 4),
    "fewer virtual than physical shards": (
        "cluster:\n  nodeCount: 1\n  replicationFactor: 1\n  sharding:\n    virtualShards: 2\n    physicalShards: 8\n",
        "Shards",
        None,
    ),
    "a key given twice": ("cluster:\n  nodeCount: 1\n  nodeCount: 2\n", "nodeCount", 3),
    "no YAML": ("cluster: [1, 2\n", "cluster.yaml", None),
}


@pytest.mark.parametrize("command", ["up", "status"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_configuration_error_names_key_and_line(tmp_path, command, mistake):
    text, key, line = MISTAKES[mistake]
    config = tmp_path / "cluster.yaml"
    config.write_text(text)
    options = ("--detach",) if command == "up" else ()
    done = shoal(command, "--config", config, "--data", tmp_path / "data", *options)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert key in done.stderr and "cluster.yaml" in done.stderr
    if line:
        assert f":{line}:" in done.stderr or f"line {line}" in done.stderr, done.stderr
    assert not (tmp_path / "data" / "supervisor.json").exists()


def test_a_missing_configuration_is_an_error_that_names_the_file(tmp_path):
    done = shoal("up", "--config", tmp_path / "none.yaml", "--data", tmp_path / "data", "--detach")
    assert done.returncode == 2 and "none.yaml" in done.stderr


@pytest.mark.parametrize("which", ["httpPort", "rpcPort"])
def test_a_port_in_use_is_an_error_that_names_key_and_line(tmp_path, which):
    http_port, rpc_port = free_ports(3)
    config = tmp_path / "cluster.yaml"
    config.write_text(
        f"cluster:\n  nodeCount: 3\n  replicationFactor: 2\n  httpPort: {http_port}\n  rpcPort: {rpc_port}\n"
    )
    taken = (http_port if which == "httpPort" else rpc_port) + 10  # the second node's
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        done = shoal("up", "--config", config, "--data", tmp_path / "data", "--detach")
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert which in done.stderr and str(taken) in done.stderr
    assert f":{4 if which == 'httpPort' else 5}:" in done.stderr


def test_help_and_version_answer():
    assert shoal("--version").returncode == 0
    kinds = ("move", "replicate", "drop-replica", "set-replication-factor", "add", "drain", "undrain", "remove", "rebalance")
    for command in ([], ["up"], ["down"], ["status"], ["serve"], ["cluster"], *(["cluster", kind] for kind in kinds)):
        done = shoal(*command, "--help")
        assert done.returncode == 0 and "USAGE" in done.stdout.upper()


def test_cluster_commands_say_when_no_node_answers(stopped):
    done = shoal("cluster", "status", *stopped.places)
    assert done.returncode == 1 and done.stderr.strip()


def test_cluster_status_and_shards_speak_json_and_text(running):
    running.client().put("/collections/c", {"vectors": {"size": 2, "distance": "Dot"}}).expect(200)
    status = json.loads(running.cli("cluster", "status", "--json"))
    assert [node["id"] for node in status["nodes"]] == [1, 2, 3]
    assert all(node["alive"] for node in status["nodes"]) and sum(node["isController"] for node in status["nodes"]) == 1
    assert [collection["name"] for collection in status["collections"]] == ["c"]
    tables = json.loads(running.cli("cluster", "shards", "--json"))
    assert len(tables) == 1 and tables[0]["collection"] == "c"
    covered = []
    for shard in tables[0]["shards"]:
        assert len(shard["replicas"]) == 2 and sum(replica["isPrimary"] for replica in shard["replicas"]) == 1
        covered += [v for part in shard["virtualShards"] for v in range(part["lower"], part["upper"] + 1)]
    assert sorted(covered) == list(range(128))
    assert "c" in running.cli("cluster", "status") and "c" in running.cli("cluster", "shards")

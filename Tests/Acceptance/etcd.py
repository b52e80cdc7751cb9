"""Real etcd on loopback, of one or more members, in a folder of the test's."""

import json
import shutil
import signal
import socket
import subprocess
import urllib.request

from cluster import eventually

ETCD = shutil.which("etcd")


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()


class Etcd:
    def __init__(self, folder, members=1, tls=None):
        """`tls`: a folder with ca.pem, cert.pem and key.pem, which clients must show a certificate of, too."""
        assert ETCD, "there is no etcd on this machine: Scripts/install-dependencies --tests installs it"
        self.folder, self.tls = folder, tls
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 * members)
        self.client_ports, self.peer_ports = ports[:members], ports[members:]
        self.processes = [None] * members
        self.scheme = "https" if tls else "http"

    @property
    def endpoints(self):
        return [f"{self.scheme}://127.0.0.1:{port}" for port in self.client_ports]

    def settings(self, extra=""):
        """For a cluster.yaml."""
        return f"control:\n  etcd:\n    endpoints: [{', '.join(self.endpoints)}]\n{extra}"

    def start(self, *members):
        for number in members or range(len(self.processes)):
            peer = f"http://127.0.0.1:{self.peer_ports[number]}"
            peers = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(self.peer_ports))
            command = [
                ETCD, "--name", f"m{number}", "--data-dir", self.folder / f"m{number}", "--log-level", "error",
                "--listen-client-urls", self.endpoints[number], "--advertise-client-urls", self.endpoints[number],
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", peers,
            ]  # fmt: skip
            if self.tls:
                command += ["--cert-file", self.tls / "cert.pem", "--key-file", self.tls / "key.pem"]
                command += ["--trusted-ca-file", self.tls / "ca.pem", "--client-cert-auth"]
            log = (self.folder / f"m{number}.log").open("a")
            self.processes[number] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not self.tls:
            eventually(self.is_healthy, 30, "etcd has a leader")
        return self

    def call(self, path, body, member=0):
        """One call of the JSON gateway."""
        request = urllib.request.Request(f"{self.endpoints[member]}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=3) as answer:
            return json.load(answer)

    def is_healthy(self):
        try:
            return all(
                self.call("kv/range", {"key": "AA=="}, member)
                for member, process in enumerate(self.processes)
                if process is not None
            )
        except OSError:
            return False

    def leader(self):
        """The number of the member that leads."""
        for number in range(len(self.processes)):
            status = self.call("maintenance/status", {}, number)
            if status["leader"] == status["header"]["member_id"]:
                return number
        raise AssertionError("no member leads")

    def compact(self):
        """Removes all history."""
        revision = self.call("kv/range", {"key": "AA=="})["header"]["revision"]
        self.call("kv/compaction", {"revision": revision, "physical": True})

    def kill(self, *members):
        for number in members or range(len(self.processes)):
            process, self.processes[number] = self.processes[number], None
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait()

"""One node as a process of its own, without a supervisor: for tests that kill it, starve it or damage its files."""

import subprocess
from pathlib import Path

from client import Client, ConnectionBroken
from cluster import BINARY, eventually, free_ports


class SingleNode:
    """`prefix` is put before the command: what runs it elsewhere, such as in another mount namespace."""

    def __init__(self, folder, data=None, prefix=(), settings=""):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = data or self.folder / "data"
        self.log = self.folder / "serve.log"
        self.prefix, self.process = list(prefix), None
        http_port, rpc_port = free_ports(1)
        config = self.folder / "cluster.yaml"
        config.write_text(
            f"cluster:\n  nodeCount: 1\n  replicationFactor: 1\n  httpPort: {http_port}\n  rpcPort: {rpc_port}\n{settings}"
        )
        self.command = [BINARY, "serve", "--config", config, "--node", "1", "--data", self.data]
        self.url = f"http://127.0.0.1:{http_port}"

    def client(self, timeout=60):
        return Client(self.url, timeout)

    def start(self, within=60, ready="/readyz"):
        """Starts the node and waits until `ready` says so."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*map(str, self.prefix + self.command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        eventually(lambda: self.is_ready(ready), within, f"the node is ready: {self.log_end()}")

    def is_ready(self, path="/readyz"):
        assert self.process.poll() is None, f"the node ended with {self.process.returncode}: {self.log_end()}"
        try:
            return self.client(timeout=5).get(path).status == 200
        except ConnectionBroken:
            return False

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9; only the process that this object started."""
        if self.is_running:
            self.process.kill()
            self.process.wait(60)

    def stop(self):
        """Ends it as an operator would; it must end without an error."""
        self.process.terminate()
        assert self.process.wait(60) == 0, f"the node ended with {self.process.returncode}: {self.log_end()}"

    def log_end(self, lines=15):
        if not self.log.exists():
            return "no log"
        return "\n".join(["", *self.log.read_text(errors="replace").splitlines()[-lines:]])

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.kill()

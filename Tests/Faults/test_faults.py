"""Three minutes of the harness. With these seeds nearly every kind of fault comes up on one of the control stores; those that
did are shown. `SHOAL_FAULTS_SEED` takes others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent / "run"
MINUTES = 1.5
# Control store, nodes, copies, seed.
SETTINGS = [("lmdb", 4, 2, 2056), ("etcd", 3, 3, 1808)]


def namespaces_are_possible():
    as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *as_user, "--net", "--mount", "--pid", "--fork", "ip", "link", "set", "lo", "up"]
    return subprocess.run(command, capture_output=True).returncode == 0


class Run:
    def __init__(self, setting, folder):
        control, nodes, copies, seed = setting
        self.seed, self.folder = int(os.environ.get("SHOAL_FAULTS_SEED", seed)), folder / "run"
        command = [
            sys.executable, RUN, "--minutes", MINUTES, "--control", control, "--nodes", nodes, "--replication-factor", copies,
            "--seed", self.seed, "--folder", self.folder,
        ]  # fmt: skip
        self.process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def logs(self):
        return "\n".join(
            line for log in sorted((self.folder / "logs").glob("*.log"))
            for line in [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:]]
        )  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All at once: each is a network and disks of its own, and waits most of the time."""
    runs = {setting: Run(setting, tmp_path_factory.mktemp(setting[0])) for setting in SETTINGS}
    yield runs
    for run in runs.values():
        run.process.kill()
        run.process.wait(60)


@pytest.mark.skipif(not namespaces_are_possible(), reason="no namespaces can be made here: neither root nor user namespaces")
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting[0])
def test_faults_lose_nothing_and_make_nothing_stale(runs, setting, capsys):
    run = runs[setting]
    output = run.process.communicate(timeout=MINUTES * 60 + 300)[0]
    assert run.process.returncode == 0, f"seed {run.seed}:\n{output}\n{run.logs()}"
    lines = output.splitlines()
    said = [line.split(maxsplit=1)[1] for line in lines if len(line.split(maxsplit=1)) == 2]
    kinds = [line.partition(": ")[2] for line in said if line.startswith("fault ")]
    start = next(number for number, line in enumerate(lines) if line.endswith("operations on points"))
    with capsys.disabled():
        print("\n".join(["", said[0], f"  faults: {', '.join(kinds)}", *lines[start:]]))

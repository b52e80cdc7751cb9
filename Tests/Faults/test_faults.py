"""Three minutes of the harness. With these seeds nearly every kind of fault comes up on one of the control stores; those that
did are shown. `SHOAL_FAULTS_SEED` takes others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent / "run"
MINUTES = 1.4


def namespaces_are_possible():
    as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *as_user, "--net", "--mount", "--pid", "--fork", "ip", "link", "set", "lo", "up"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not namespaces_are_possible(), reason="no namespaces can be made here: neither root nor user namespaces")
@pytest.mark.parametrize("control, nodes, copies, seed", [("lmdb", 4, 2, 1999), ("etcd", 3, 3, 1823)])
def test_faults_lose_nothing_and_make_nothing_stale(control, nodes, copies, seed, tmp_path, capsys):
    seed = int(os.environ.get("SHOAL_FAULTS_SEED", seed))
    command = [
        sys.executable, RUN, "--minutes", MINUTES, "--control", control, "--nodes", nodes, "--replication-factor", copies,
        "--seed", seed, "--folder", tmp_path / "run",
    ]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=MINUTES * 60 + 300)
    lines = done.stdout.splitlines()
    logs = "\n".join(
        line for log in sorted((tmp_path / "run" / "logs").glob("*.log"))
        for line in [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:]]
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout}\n{done.stderr}\n{logs}"
    said = [line.split(maxsplit=1)[1] for line in lines if len(line.split(maxsplit=1)) == 2]
    kinds = [line.partition(": ")[2] for line in said if line.startswith("fault ")]
    start = next(number for number, line in enumerate(lines) if line.endswith("operations on points"))
    with capsys.disabled():
        print("\n".join(["", said[0], f"  faults: {', '.join(kinds)}", *lines[start:]]))

"""A small file system of its own: a tmpfs in a mount namespace that a waiting process keeps alive."""

import os
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """Processes that start with `prefix` see it at `folder`; this process sees it at `outside`."""

    def __init__(self, folder, size_bytes):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        # Without rights, in a user namespace where this user is root.
        as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = f'mount -t tmpfs -o size={size_bytes} tmpfs "$1" && echo mounted && exec sleep infinity'
        self.keeper = subprocess.Popen(
            ["unshare", *as_user, "--mount", "--propagation", "private", "sh", "-c", script, "sh", self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        if self.keeper.stdout.readline().strip() != "mounted":
            reason = self.keeper.communicate()[1].strip()
            pytest.skip(f"no file system can be mounted here: {reason}")
        namespaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--preserve-credentials", "--mount"]
        self.prefix = ["nsenter", "--target", str(self.keeper.pid), *namespaces, "--"]
        self.outside = Path(f"/proc/{self.keeper.pid}/root{self.folder}")

    @property
    def free_bytes(self):
        status = os.statvfs(self.outside)
        return status.f_bavail * status.f_frsize

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.keeper.kill()
        self.keeper.wait()

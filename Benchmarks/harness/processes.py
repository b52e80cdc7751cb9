"""What the kernel knows of processes and files: memory, reads, the page cache, limits."""

import os
import pathlib


def proportional_set_bytes(pid):
    """Memory of a process in which a page shared by n processes counts 1/n, mapped files included."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss for process {pid}")


def major_faults(pid):
    """How often the process waited for a page from disk."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[9])


def bytes_read(pid):
    """What the process made the disk read, by faults too."""
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    raise OSError(f"no read_bytes for process {pid}")


def disk_bytes(folder):
    """Blocks in use; the files are sparse."""
    return sum(path.stat().st_blocks * 512 for path in pathlib.Path(folder).rglob("*") if path.is_file())


def put_out_of_cache(folder):
    """Writes the files back and lets the page cache forget them. Needs no rights; they must not be mapped any more."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


class MemoryLimit:
    """A control group that holds its processes' memory, the files that they map included, below a bound.

    `how` says what was used; it is None where no control group can be made, and nothing is limited then. An address space
    limit (RLIMIT_AS) is no substitute: a map of a file counts there in full, whether its pages are in memory or not.
    """

    def __init__(self):
        self._folder = self.how = None
        name = f"shoal-benchmark-{os.getpid()}"
        for folder, bound, usage, how in self._places(name):
            try:
                folder.mkdir()
                if os.access(folder / bound, os.W_OK):
                    self._folder, self._bound, self._usage, self.how = folder, folder / bound, folder / usage, how
                    return
                folder.rmdir()
            except OSError:
                continue

    @staticmethod
    def _places(name):
        """(folder to make, its files for bound and usage, what it is), below this process's own groups."""
        root = pathlib.Path("/sys/fs/cgroup")
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield root / path.lstrip("/") / name, "memory.max", "memory.current", "cgroup v2"
            elif "memory" in controllers.split(","):
                folder = root / "memory" / path.lstrip("/") / name
                yield folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "cgroup v1"

    def enter(self):
        """Puts the calling process in; for a child that has not started its program yet."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def usage(self):
        return int(self._usage.read_text())

    def set(self, bytes):
        self._bound.write_text(str(bytes))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self._folder:
            self._folder.rmdir()

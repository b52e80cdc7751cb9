"""A network of its own: a namespace for each machine, a bridge between them, and what goes wrong on the way.

The process that makes it must be in a network and a mount namespace that nobody else uses (`run` sees to that), and is
itself at `10.77.0.1`. What it cannot do is said by `links`: without the kernel's netem there is no delay, but links that
are as thin as a modem's, on which packets queue.
"""

import subprocess

PREFIX = "10.77.0."
GATEWAY = PREFIX + "1"


class CommandFailed(Exception):
    """A command of the system said no: nothing that is to be tested."""


def command(*arguments, given=None):
    done = subprocess.run([*map(str, arguments)], input=given, capture_output=True, text=True)
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(map(str, arguments))}: {done.stderr or done.stdout}")
    return done.stdout


class Network:
    def __init__(self):
        # `ip netns` keeps its names there; the machine's own are not touched.
        command("mount", "-t", "tmpfs", "tmpfs", "/run")
        command("ip", "link", "set", "lo", "up")
        command("ip", "link", "add", "bridge", "type", "bridge")
        command("ip", "address", "add", f"{GATEWAY}/24", "dev", "bridge")
        command("ip", "link", "set", "bridge", "up")
        self.machines = {}
        # Machine -> the machines from which nothing arrives, and those of whose packets some percent get lost.
        self.cut, self.lossy = {}, {}
        self.links = "unknown"

    def add(self, name, number):
        """A machine, at the returned address."""
        address = f"{PREFIX}{number}"
        command("ip", "netns", "add", name)
        command("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        command("ip", "link", "set", name, "master", "bridge", "up")
        for arguments in (
            ("link", "set", "lo", "up"), ("address", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
        ):  # fmt: skip
            command("ip", "-n", name, *arguments)
        self.machines[name], self.cut[name], self.lossy[name] = address, set(), {}
        return address

    def inside(self, name):
        """What a command is prefixed with to run on the machine; its process is the command's own."""
        return ["nsenter", f"--net=/run/netns/{name}", "--"]

    def block(self, receiver, *senders):
        """Nothing that the senders send to the receiver arrives; what it sends does."""
        self.cut[receiver] |= set(senders)
        self.apply(receiver)

    def separate(self, these, those):
        """Cuts each of these from each of those, both ways."""
        for name in these:
            self.block(name, *those)
        for name in those:
            self.block(name, *these)

    def lose(self, receiver, sender, percent):
        self.lossy[receiver][sender] = percent
        self.apply(receiver)

    def slow(self, name):
        """A bad link to everybody: packets are late, or queue."""
        add = ("tc", "-n", name, "qdisc", "add", "dev", "eth0", "root")
        try:
            command(*add, "netem", "delay", "60ms", "30ms")
            self.links = "delayed by netem"
        except CommandFailed:
            command(*add, "tbf", "rate", "1mbit", "burst", "8kb", "latency", "800ms")
            self.links = "thin, as this kernel has no netem"

    def heal(self):
        """Everything arrives again, at once."""
        for name in self.machines:
            if self.cut[name] or self.lossy[name]:
                self.cut[name], self.lossy[name] = set(), {}
                self.apply(name)
            subprocess.run(["tc", "-n", name, "qdisc", "del", "dev", "eth0", "root"], capture_output=True)

    def apply(self, name):
        rules = [f"ip saddr {self.machines[sender]} drop" for sender in sorted(self.cut[name])]
        rules += [
            f"ip saddr {self.machines[sender]} numgen random mod 100 < {percent} drop"
            for sender, percent in sorted(self.lossy[name].items())
        ]
        chain = "\n".join(["type filter hook input priority 0; policy accept;", *rules])
        table = f"table inet faults\ndelete table inet faults\ntable inet faults {{\nchain input {{\n{chain}\n}}\n}}\n"
        command(*self.inside(name), "nft", "-f", "-", given=table)

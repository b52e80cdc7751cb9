"""What goes wrong: each fault begins at a cluster that is whole, lasts, and is undone by `Machines.heal`.

A fault takes the stage's dice and does what they say; all of a run follows from its seed, as far as time lets it.
"""

import signal
import time

from client import ConnectionBroken
from clients import COLLECTION
from cluster import eventually

LEASE = {"lmdb": 3.0, "etcd": 5.0}
HOUR = 3_600
# Of small shards; what a fault goes on to hold up may be over later.
RESHARDED_WITHIN = 60


class Stage:
    """What faults are done with: the machines, dice, and a log of what was done."""

    def __init__(self, machines, dice, log):
        self.machines, self.dice, self.log = machines, dice, log
        self.lease = LEASE[machines.control]

    def nodes(self, count=1):
        return self.dice.sample(self.machines.nodes, count)

    def wait(self, shortest, longest):
        seconds = self.dice.uniform(shortest, longest)
        self.log(f"    {seconds:.1f} s")
        time.sleep(seconds)

    def say(self, text, machines=()):
        self.log(f"  {text} {', '.join(machine.name for machine in machines)}")


def kill_and_restart(stage):
    nodes = stage.nodes(stage.dice.choice([1, 1, 2, len(stage.machines.nodes)]))
    stage.say("kill -9", nodes)
    for node in nodes:
        node.kill()
    stage.wait(0.1, 2)


def leave_dead(stage):
    (node,) = stage.nodes()
    stage.say("kill -9, and nobody starts it for long:", [node])
    node.kill()
    stage.wait(stage.lease + 3, stage.lease + 8)


def kill_one_after_the_other(stage):
    for node in stage.nodes(2):
        stage.say("kill -9", [node])
        node.kill()
        stage.wait(0.2, 3)
        node.start()


def hang_shortly(stage):
    nodes = stage.nodes(stage.dice.choice([1, 2]))
    stage.say("SIGSTOP, shorter than the lease:", nodes)
    for node in nodes:
        node.hang()
    stage.wait(0.5, stage.lease * 0.6)


def hang_long(stage):
    (node,) = stage.nodes()
    stage.say("SIGSTOP, longer than the lease:", [node])
    node.hang()
    stage.wait(stage.lease + 1, stage.lease + 4)


def hang_again_and_again(stage):
    (node,) = stage.nodes()
    for _ in range(4):
        stage.say("SIGSTOP for a moment:", [node])
        node.hang()
        stage.wait(0.2, stage.lease * 0.5)
        node.wake()
        stage.wait(0.05, 0.5)


def isolate(stage):
    """From the other nodes; on etcd perhaps from etcd as well."""
    machines = stage.machines
    (node,) = stage.nodes()
    others = [other.name for other in machines.nodes if other is not node]
    if machines.etcd and stage.dice.random() < 0.5:
        others += [member.name for member in machines.etcd]
    stage.log(f"  {node.name} is cut off from {', '.join(others)}")
    machines.network.separate([node.name], others)
    stage.wait(2, stage.lease + 5)


def cut_one_way(stage):
    """What one node sends reaches another, and nothing comes back."""
    receiver, sender = stage.nodes(2)
    stage.log(f"  nothing that {sender.name} sends reaches {receiver.name}")
    stage.machines.network.block(receiver.name, sender.name)
    stage.wait(2, stage.lease + 5)


def cut_from_etcd(stage):
    """A node keeps its peers and loses the control store."""
    (node,) = stage.nodes()
    members = [member.name for member in stage.machines.etcd]
    stage.log(f"  {node.name} is cut off from etcd")
    stage.machines.network.separate([node.name], members)
    stage.wait(2, stage.lease + 5)


def lose_packets(stage):
    network = stage.machines.network
    percent = stage.dice.choice([5, 20, 40])
    stage.log(f"  {percent} % of all packets between nodes get lost")
    for receiver in stage.machines.nodes + stage.machines.etcd:
        for sender in stage.machines.nodes + stage.machines.etcd:
            if sender is not receiver:
                network.lose(receiver.name, sender.name, percent)
    stage.wait(4, 10)


def slow_link(stage):
    (node,) = stage.nodes()
    stage.machines.network.slow(node.name)
    stage.log(f"  the link of {node.name} is bad ({stage.machines.network.links})")
    stage.wait(4, 10)


def fill_disk(stage):
    (node,) = stage.nodes()
    stage.say("a full disk:", [node])
    node.fill_disk()
    stage.wait(3, 8)
    if stage.dice.random() < 0.3:
        stage.say("kill -9 and start on the full disk:", [node])
        node.kill()
        node.start()
        stage.wait(2, 4)


def jump_clock(stage):
    (node,) = stage.nodes()
    for _ in range(2):
        seconds = stage.dice.choice([-24 * HOUR, -HOUR, -10, 10, HOUR, 24 * HOUR])
        stage.log(f"  the clock of {node.name} jumps to {seconds:+d} s")
        node.set_clock(seconds)
        stage.wait(2, 5)
    node.set_clock(0)


def lose_data(stage):
    """A new disk. What was on it is on the others: nothing else goes wrong at that time."""
    (node,) = stage.nodes()
    stage.say("kill -9 and an empty disk:", [node])
    node.kill()
    node.wipe()
    stage.wait(0, stage.lease + 2)


def restore_old_data(stage):
    """A disk as it was some time ago, under the same name."""
    (node,) = stage.nodes()
    stage.say("kill -9, a copy of the disk, and on with it:", [node])
    node.kill()
    node.save_copy()
    node.start()
    stage.machines.wait_until_whole(COLLECTION, 60)
    stage.wait(2, 6)
    stage.say("kill -9, and the disk of before:", [node])
    node.kill()
    node.restore_copy()
    stage.wait(0, stage.lease + 2)


def perhaps_kill_one(stage, chance, latest):
    """While an operation is under way."""
    if stage.dice.random() >= chance:
        return
    stage.wait(0, latest)
    (node,) = stage.nodes()
    stage.say("kill -9", [node])
    node.kill()
    stage.wait(0.1, 2)
    node.start()


def move_replicas(stage):
    """Perhaps under a kill of any of those that take part."""
    machines = stage.machines
    client = stage.dice.choice(machines.nodes).client(timeout=30)
    try:
        (table,) = client.get(f"/shoal/shards?collection={COLLECTION}").expect(200)
        shard = stage.dice.choice(table["shards"])
        holders = [replica["node"] for replica in shard["replicas"]]
        free = [node.number for node in machines.nodes if node.number not in holders]
        if not free:
            return kill_and_restart(stage)
        body = {
            "collection": COLLECTION, "shard": shard["number"], "from": stage.dice.choice(holders),
            "to": stage.dice.choice(free),
        }  # fmt: skip
        stage.log(f"  a move: {body}")
        client.post("/shoal/move", body)
    except ConnectionBroken as error:
        stage.log(f"  it could not be asked for: {error}")
    perhaps_kill_one(stage, 0.7, 0.5)
    stage.wait(1, 3)


def drain_a_node(stage):
    """All replicas leave a node, perhaps under a kill of any, and it may take some again."""
    machines = stage.machines
    leaving = stage.dice.choice(machines.nodes)
    stage.say("a drain of", [leaving])
    try:
        body = {"kind": "drain", "node": leaving.number}
        answer = stage.dice.choice(machines.nodes).client(timeout=30).post("/shoal/operations", body)
        # With a copy on each node there is no place to go to.
        stage.log(f"  it is {'under way' if answer.status == 200 else f'refused: {answer.text[:200]!r}'}")
    except ConnectionBroken as error:
        stage.log(f"  it could not be asked for: {error}")
    perhaps_kill_one(stage, 0.7, 2)
    stage.wait(0, 4)
    # Whether it is over or not; asked again until some node has heard it.
    for node in [*machines.nodes, *machines.nodes]:
        try:
            if node.client(timeout=30).delete(f"/shoal/draining/{leaving.number}").status in (200, 400):
                return
        except ConnectionBroken:
            pass
        stage.wait(1, 2)


def reshard(stage):
    """A shard is split, or all are merged to three again, perhaps under a kill of any node."""
    client = stage.dice.choice(stage.machines.nodes).client(timeout=30)
    try:
        answer = client.get(f"/shoal/shards?collection={COLLECTION}")
        if answer.status != 200:
            return stage.log(f"  no node could be asked: {answer.text[:200]!r}")
        numbers = [shard["number"] for shard in answer.json["result"][0]["shards"] if not shard["isFilling"]]
        if len(numbers) > 4:
            kind, body = "merge", {"to": 3}
        else:
            kind, body = "split", {"shard": stage.dice.choice(numbers), "into": stage.dice.choice([2, 3])}
        answer = client.post(f"/shoal/{kind}", {"collection": COLLECTION, **body})
        stage.log(f"  a {kind} {body}, {'under way' if answer.status == 200 else f'refused: {answer.text[:200]!r}'}")
    except ConnectionBroken as error:
        stage.log(f"  it could not be asked for: {error}")
    perhaps_kill_one(stage, 0.5, 3)
    started = time.monotonic()
    try:
        eventually(lambda: not resharding(stage), RESHARDED_WITHIN, "the end of a split or merge")
        stage.log(f"    over after {time.monotonic() - started:.1f} s")
    except AssertionError as error:
        stage.log(f"    {error}")


def resharding(stage):
    """Whether a split or merge is under way, or no node says."""
    for node in stage.machines.nodes:
        try:
            answer = node.client(timeout=10).get("/shoal/operations")
        except ConnectionBroken:
            continue
        if answer.status == 200:
            states = [o["state"] for o in answer.json["result"] if o["kind"] in ("split", "merge")]
            return any(state in ("planned", "running") for state in states)
    return True


def kill_etcd(stage):
    machines = stage.machines
    members = stage.dice.choice([
        [member for member in machines.etcd if member.leads()] or machines.etcd[:1],
        stage.dice.sample(machines.etcd, 1), stage.dice.sample(machines.etcd, 2), machines.etcd,
    ])  # fmt: skip
    stage.say("kill -9 of etcd:", members)
    for member in members:
        member.kill()
    stage.wait(1, stage.lease + 3)


def hang_etcd(stage):
    members = stage.dice.sample(stage.machines.etcd, stage.dice.choice([1, 2]))
    stage.say("SIGSTOP of etcd:", members)
    for member in members:
        member.hang()
    stage.wait(1, stage.lease + 3)


def split_etcd(stage):
    """The leader is alone, or with a node that it goes on to serve."""
    machines = stage.machines
    leader = next((member for member in machines.etcd if member.leads()), machines.etcd[0])
    followers = [member.name for member in machines.etcd if member is not leader]
    friends = stage.nodes(stage.dice.choice([0, 1]))
    strangers = [node.name for node in machines.nodes if node not in friends]
    stage.log(f"  etcd's leader {leader.name} is with {[node.name for node in friends]} on one side, the rest on the other")
    machines.network.separate([leader.name, *(node.name for node in friends)], followers + strangers)
    stage.wait(3, stage.lease + 5)


def terminate(stage):
    """In good order, as for a new version: one after the other."""
    for node in stage.nodes(2):
        stage.say("SIGTERM", [node])
        node.process.send_signal(signal.SIGTERM)
        node.process.wait(60)
        node.start()
        stage.wait(0.5, 2)


ANYWHERE = [
    kill_and_restart, leave_dead, kill_one_after_the_other, hang_shortly, hang_long, hang_again_and_again, isolate,
    cut_one_way, lose_packets, slow_link, fill_disk, jump_clock, lose_data, restore_old_data, move_replicas, drain_a_node,
    reshard, terminate,
]  # fmt: skip
ON_ETCD = [cut_from_etcd, kill_etcd, hang_etcd, split_etcd]
# They take away data that is on one node more: when they begin, no other replica may be about to leave the in-sync set, and
# no shard be filled.
ALONE = {lose_data, restore_old_data}


def decks(dice, control):
    """Faults without end: all of them in an order of the dice, and so on."""
    while True:
        deck = ANYWHERE + (ON_ETCD if control == "etcd" else [])
        dice.shuffle(deck)
        yield from deck

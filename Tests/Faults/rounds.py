"""One run of the harness: faults beside clients, then the reckoning."""

import random
import sys
import time
from collections import Counter

import faults
from checker import check
from clients import COLLECTION, DIMENSION, Clients, settled_reads
from cluster import eventually
from machines import Machines
from network import Network
from operation import COUNT, OK, READ, read_history

# From the end of a fault until every replica is in sync. Snapshots of small shards take a second; leases have to run out.
WHOLE_WITHIN = 60
VIOLATIONS_SHOWN = 5


def run(options, folder):
    """The exit code: 1 when a promise was broken."""
    start = time.monotonic()
    with open(folder / "events.log", "w") as events:

        def log(text):
            line = f"{time.monotonic():10.3f}  {text}"
            print(line, file=events, flush=True)
            print(line, flush=True)

        log(
            f"seed {options.seed}: {options.nodes} nodes, replication factor {options.replication_factor}, control store "
            f"{options.control}, {options.minutes:g} minutes; in {folder}"
        )
        machines = Machines(Network(), folder, options.nodes, options.replication_factor, options.control)
        try:
            trouble = act(options, folder, machines, log)
        finally:
            machines.stop()
        history = list(read_history(folder / "history.jsonl"))
        log(summary(history))
        violations = check(history)
        for violation in violations[:VIOLATIONS_SHOWN]:
            log(str(violation))
        if not violations:
            strict = check(history, strict=True)
            log(f"points with a read of a write on its way that a later read did not give: {len(strict)}")
        if violations or trouble:
            command = f"Tests/Faults/run --seed {options.seed} --minutes {options.minutes:g} --control {options.control}"
            log(f"{len(violations)} violations; {trouble or 'no other trouble'}")
            print(f"again: {command} --nodes {options.nodes} --replication-factor {options.replication_factor}", file=sys.stderr)
            return 1
        log(f"no violation, after {time.monotonic() - start:.0f} s")
        return 0


def act(options, folder, machines, log):
    """The history, in `history.jsonl`; what else went wrong, in words."""
    machines.start()
    client = machines.nodes[0].client(timeout=30)
    body = {"vectors": {"size": DIMENSION, "distance": "Euclid"}, "shard_number": 3}
    client.put(f"/collections/{COLLECTION}", body).expect(200)
    index = {"field_name": "group", "field_schema": "integer"}
    client.put(f"/collections/{COLLECTION}/index?wait=true", index).expect(200)
    machines.wait_until_whole(COLLECTION, WHOLE_WITHIN)
    with open(folder / "history.jsonl", "w") as history:
        clients = Clients([node.url for node in machines.nodes], options.seed, options.clients, history)
        trouble = None
        try:
            with clients:
                play(options, machines, log)
        except AssertionError as error:
            trouble = str(error)
            log(f"  {trouble}")
            machines.heal()
        if clients.failures:
            trouble = f"a client failed: {clients.failures[0]!r}"
        trouble = reckon(machines, clients, history, log) or trouble
    return trouble


def play(options, machines, log):
    """Faults until the time is over."""
    dice = random.Random(options.seed)
    stage = faults.Stage(machines, dice, log)
    deadline = time.monotonic() + options.minutes * 60
    wanted = options.faults.split(",") if options.faults else None
    time.sleep(2)
    for number, fault in enumerate(faults.decks(dice, options.control), 1):
        if time.monotonic() > deadline:
            return
        if wanted and fault.__name__ not in wanted:
            continue
        if fault in faults.ALONE:
            eventually(lambda: not faults.resharding(stage), WHOLE_WITHIN, "the end of a split or merge")
            machines.wait_until_linked(COLLECTION, WHOLE_WITHIN)
        log(f"fault {number}: {fault.__name__.replace('_', ' ')}")
        fault(stage)
        log(f"  then: {machines.unsound(COLLECTION)[:300] or 'every replica is in sync'}")
        machines.heal()
        log(f"  healed; whole after {machines.wait_until_whole(COLLECTION, WHOLE_WITHIN):.1f} s")
        stage.wait(0.5, 2)


def reckon(machines, clients, history, log):
    """Reads everything when nothing is under way: through each node, and from each replica alone."""
    try:
        machines.wait_until_whole(COLLECTION, WHOLE_WITHIN)
        keys = clients.keys
        for node in machines.nodes:
            for operation in settled_reads(node, keys, "the last scroll"):
                history.write(operation.line() + "\n")
        copies = [settled_reads(node, keys, "", replica=node.number) for node in machines.nodes]
        differing = [key for key in keys if differs([copy[key].value for copy in copies], machines.replication_factor)]
        points = sum(any(copy[key].value for copy in copies) for key in keys)
        log(f"{points} points of {len(keys)} ids are left, {len(differing)} differ between replicas")
        return f"replicas differ: {differing[:5]}" if differing else None
    except AssertionError as error:
        log(f"  {error}")
        return str(error)


def differs(values, replication_factor):
    """Whether a point is not the same on exactly as many nodes as have to have it."""
    there = [value for value in values if value is not None]
    return there and (len(there) != replication_factor or len(set(there)) != 1)


def summary(history):
    """How much of what happened, and the longest time in which nothing succeeded."""
    counts = Counter((o.kind, o.outcome) for o in history)
    lines = [f"{len(history)} operations on points"]
    for kind in sorted({kind for kind, _ in counts}):
        parts = [f"{n} {outcome}" for (k, outcome), n in sorted(counts.items()) if k == kind]
        lines.append(f"  {kind}: {', '.join(parts)}")
    for name, chosen in (("reads", (READ, COUNT)), ("changes", ("write", "swap", "delete"))):
        ends = sorted(o.end for o in history if o.kind in chosen and o.outcome == OK and not o.settled)
        longest = max((b - a for a, b in zip(ends, ends[1:])), default=0.0)
        lines.append(f"  the longest time without any of the {name} that succeeded: {longest:.1f} s")
    return "\n".join(lines)

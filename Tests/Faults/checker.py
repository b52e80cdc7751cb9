"""Whether a history keeps the promises: pure, knows operations only.

For each point the changes (writes, conditional writes, deletes) must have happened in one order in which each lies between
its start and its end. A read must give a state that is at least as new as every change that was acknowledged before it
began. It may also give one that is on its way to acknowledgement, which the next read need not give: replicas apply a
write before all of them have it. `strict` takes that away, and then each point must be linearizable. A read that is
`settled`, made when nothing was under way, is always strict; so is one that is `exact`, which asked for versions, and a
refusal of a conditional write, since both are answered when what they saw is acknowledged.

A change that was sent several times under one request id is one operation, from the first try to the last answer: done
twice, its value would come back after another's.

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memory of configurations
("Testing for linearizability", 2017): which operations happened, and the state. Reads change nothing, so one that is
possible is taken at once and never taken back: the search branches at changes only.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from math import inf

from operation import COUNT, FAILED, OK, READ, REFUSED, SWAP, UNKNOWN

# Configurations for one key; beyond it the key is reported as undecided. A key of a few dozen operations needs hundreds.
SEARCH_LIMIT = 300_000


@dataclass
class Violation:
    kind: str
    key: int
    # What could not have happened.
    culprit: object
    history: list = field(default_factory=list)

    def __str__(self):
        lines = [f"{self.kind}: point {self.key}: {self.culprit}", *(f"    {operation}" for operation in self.history)]
        return "\n".join(lines)


def check(operations, strict=False):
    """All violations of a history, one for each key at most, and those of counts."""
    keys, counts = defaultdict(list), []
    for operation in operations:
        if operation.kind == COUNT:
            counts.append(operation)
        else:
            keys[operation.key].append(operation)
    found = [violation for key in sorted(keys) if (violation := check_key(keys[key], strict))]
    return found + [violation for count in counts if (violation := check_count(count, keys))]


def check_key(operations, strict=False):
    """The violation of one point's history, or None."""
    search = _Search(operations, strict)
    culprit = search.run()
    if culprit is None:
        return None
    if culprit == UNDECIDED:
        return Violation(UNDECIDED, operations[0].key, f"more than {SEARCH_LIMIT} configurations", search.operations)
    near = sorted(operations, key=lambda operation: operation.start)
    return Violation(_name(culprit, operations), culprit.key, culprit, near)


UNDECIDED = "undecided"


class _Search:
    def __init__(self, operations, strict):
        self.strict = strict
        self.operations = sorted(filter(_matters, operations), key=lambda operation: (operation.start, operation.end))
        self.required = sum(1 << i for i, o in enumerate(self.operations) if o.outcome != UNKNOWN)
        self.changes = [i for i, o in enumerate(self.operations) if o.changes and o.outcome != REFUSED]
        self.makers = defaultdict(list)
        for i in self.changes:
            self.makers[self.operations[i].value].append(i)

    def run(self):
        """None when there is an order; else the operation that had to happen and could not, in the try that got furthest."""
        stack, seen, furthest, culprit = [(0, None)], set(), -1, None
        while stack:
            done, state = stack.pop()
            done, horizon = self.take_reads(done, state)
            if done & self.required == self.required:
                return None
            if (done, state) in seen:
                continue
            seen.add((done, state))
            if len(seen) > SEARCH_LIMIT:
                return UNDECIDED
            reach = (done & self.required).bit_count()
            if reach > furthest:
                furthest, culprit = reach, self.first_to_end(done)
            for i in reversed(self.changes):
                operation = self.operations[i]
                if done >> i & 1 or operation.start > horizon:
                    continue
                if operation.kind == SWAP and operation.expected != state:
                    continue
                stack.append((done | 1 << i, operation.value))
        return culprit

    def take_reads(self, done, state):
        """`done` with every read that may happen now, and the time by which the next operation has to have happened."""
        while True:
            # What starts after another has ended comes after it.
            horizon = min((o.end for i, o in enumerate(self.operations) if not done >> i & 1), default=inf)
            before = done
            for i, operation in enumerate(self.operations):
                if operation.start > horizon:
                    break
                if done >> i & 1 or (operation.changes and operation.outcome != REFUSED):
                    continue
                if self.is_possible(operation, done, state):
                    done |= 1 << i
            if done == before:
                return done, horizon

    def is_possible(self, read, done, state):
        if read.outcome == REFUSED:
            return state != read.expected
        if read.value == state:
            return True
        if self.strict or read.settled or read.exact:
            return False
        return any(self.is_pending(i, read, done) for i in self.makers.get(read.value, ()))

    def is_pending(self, i, read, done):
        return not done >> i & 1 and self.operations[i].start < read.end

    def first_to_end(self, done):
        left = [o for i, o in enumerate(self.operations) if not done >> i & 1 and o.outcome != UNKNOWN]
        reads = [o for o in left if not o.changes]
        first = min(left, key=lambda o: o.end)
        # A change is only stuck behind a read, unless it is conditional.
        return first if first.kind == SWAP or not reads else min(reads, key=lambda o: o.end)


def _matters(operation):
    if operation.kind == READ:
        return operation.outcome == OK
    return operation.outcome != FAILED


def _name(culprit, operations):
    """The kind of a violation, as people call it."""
    if culprit.kind == SWAP:
        return "lost conditional update"
    makers = [o for o in operations if o.changes and o.outcome in (OK, UNKNOWN) and o.value == culprit.value]
    if culprit.value is None:
        return "lost write"
    if not makers or all(o.start > culprit.end for o in makers):
        return "phantom"
    deletes = [o for o in operations if o.changes and o.value is None and o.outcome == OK and o.end < culprit.start]
    if deletes and all(o.end < max(d.start for d in deletes) for o in makers):
        return "resurrected delete"
    return "lost write" if culprit.settled or culprit.exact else "stale read"


def check_count(count, keys):
    """Whether a count lies between the points that surely and those that possibly were there meanwhile."""
    if count.outcome != OK:
        return None
    certain = possible = 0
    for key in range(count.key, count.last + 1):
        least, most = _presence(keys.get(key, ()), count)
        certain, possible = certain + least, possible + most
    if certain <= count.value <= possible:
        return None
    return Violation("wrong count", count.key, f"{count} instead of {certain} to {possible}")


def _presence(operations, count):
    """0 or 1 twice: the point was there for sure; it may have been."""
    changes = [o for o in operations if o.changes and o.outcome in (OK, UNKNOWN) and o.start < count.end]
    settled = [o for o in changes if o.end < count.start]
    # The last of those that are surely over, which another that ended after its start may follow.
    latest = max((o.start for o in settled), default=-inf)
    perhaps_last = [o for o in changes if o.end >= latest]
    writes = any(o.value is not None for o in perhaps_last)
    deletes = any(o.value is None for o in perhaps_last)
    return (1 if settled and not deletes else 0), (1 if writes else 0)

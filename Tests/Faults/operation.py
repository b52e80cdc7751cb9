"""What one client did to one point, and when: the lines of a history."""

import json
from dataclasses import asdict, dataclass, fields
from math import inf

# Kinds. A `swap` is a conditional write or, with the value None, delete: it replaces the value `expected`, or is refused.
WRITE, SWAP, DELETE, READ, COUNT = "write", "swap", "delete", "read", "count"
# Outcomes. `UNKNOWN` may have happened, may still happen at any later time, or never; `REFUSED` is a conditional write
# whose condition did not hold.
OK, FAILED, UNKNOWN, REFUSED = "ok", "failed", "unknown", "refused"


@dataclass(slots=True)
class Operation:
    """Times are seconds of one monotonic clock. A value is unique to the write that made it; None is no point."""

    kind: str
    key: int
    start: float
    end: float = inf
    outcome: str = UNKNOWN
    value: str | None = None
    expected: str | None = None
    # A count is of the keys from `key` to `last`, and its value their number.
    last: int | None = None
    # Read when nothing was under way any more.
    settled: bool = False
    # A read with versions: it gives nothing that is not acknowledged.
    exact: bool = False
    client: int = 0
    node: int = 0
    # By which request, such as `scroll`.
    through: str = ""
    detail: str = ""

    @property
    def changes(self):
        return self.kind in (WRITE, SWAP, DELETE)

    def line(self):
        """One line of JSON. A time without an end is null."""
        found = asdict(self)
        if self.end == inf:
            found["end"] = None
        return json.dumps(found)

    def __str__(self):
        end = "?" if self.end == inf else f"{self.end:.3f}"
        condition = f" if {self.expected}" if self.kind == SWAP else ""
        request = f" by {self.through}" if self.through else ""
        return (
            f"{self.start:.3f} to {end} client {self.client} at node {self.node}: {self.kind}{request} "
            f"{self.key} = {self.value}{condition}: {self.outcome} {self.detail}"
        )


def read_history(path):
    """The operations of a file of lines."""
    names = {field.name for field in fields(Operation)}
    with open(path) as lines:
        for line in lines:
            found = {name: value for name, value in json.loads(line).items() if name in names}
            if found["end"] is None:
                found["end"] = inf
            yield Operation(**found)

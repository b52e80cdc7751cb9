"""The checker finds what it is there for, in histories that someone made up, and lets everything pass that may be."""

import random
from math import inf

import pytest

from checker import check
from operation import COUNT, DELETE, FAILED, OK, READ, REFUSED, SWAP, UNKNOWN, WRITE, Operation, read_history


def op(kind, start, end, value=None, outcome=OK, **more):
    return Operation(kind, 1, start, end, outcome, value, **more)


def unknown(kind, start, value=None, **more):
    return op(kind, start, inf, value, UNKNOWN, **more)


def kinds(*history, **options):
    return [violation.kind for violation in check(history, **options)]


BAD = {
    "a write that was acknowledged is not there": ("lost write", [op(WRITE, 0, 1, "a"), op(READ, 2, 3, None)]),
    "the value before the last is read": (
        "stale read", [op(WRITE, 0, 1, "a"), op(WRITE, 2, 3, "b"), op(READ, 4, 5, "a")]),
    "the value before the last is there in the end": (
        "lost write", [op(WRITE, 0, 1, "a"), op(WRITE, 2, 3, "b"), op(READ, 4, 5, "a", settled=True)]),
    "a deleted point is back": (
        "resurrected delete", [op(WRITE, 0, 1, "a"), op(DELETE, 2, 3), op(READ, 4, 5, "a")]),
    "two conditional writes replaced the same value": (
        "lost conditional update",
        [op(WRITE, 0, 1, "a"), op(SWAP, 2, 3, "b", expected="a"), op(SWAP, 4, 5, "c", expected="a")]),
    "two conditional writes at once replaced the same value": (
        "lost conditional update",
        [op(WRITE, 0, 1, "a"), op(SWAP, 2, 5, "b", expected="a"), op(SWAP, 2, 5, "c", expected="a")]),
    "a conditional write was refused though its condition held": (
        "lost conditional update", [op(WRITE, 0, 1, "a"), op(SWAP, 2, 3, "b", REFUSED, expected="a")]),
    "a conditional write was refused by what was never acknowledged": (
        "lost write",
        [op(WRITE, 0, 1, "a"), op(WRITE, 2, 9, "b"), op(SWAP, 3, 4, "c", REFUSED, expected="a"),
         op(READ, 5, 6, "a", exact=True)]),
    "a conditional write saw another version than it expected": (
        "lost conditional update",
        [op(WRITE, 0, 1, "a"), op(WRITE, 2, 3, "b"), op(SWAP, 4, 5, "c", expected="a"),
         op(READ, 6, 7, "c", settled=True)]),
    "a conditional delete took what was written since": (
        "lost conditional update",
        [op(WRITE, 0, 1, "a"), op(WRITE, 2, 3, "b"), op(SWAP, 4, 5, None, expected="a"), op(READ, 6, 7, None)]),
    "a point that a conditional delete took is back": (
        "resurrected delete", [op(WRITE, 0, 1, "a"), op(SWAP, 2, 3, None, expected="a"), op(READ, 4, 5, "a")]),
    "two conditional writes made the point where there was none": (
        "lost conditional update", [op(SWAP, 0, 1, "a", expected=None), op(SWAP, 2, 3, "b", expected=None)]),
    "a write that was sent again under its name was done twice": (
        "stale read",
        [op(WRITE, 0, 5, "a", through="3 tries"), op(READ, 1, 2, "a", exact=True), op(WRITE, 3, 4, "b"),
         op(READ, 6, 7, "a")]),
    "a conditional write that was sent again was done twice": (
        "stale read",
        [op(WRITE, 0, 1, "a"), op(SWAP, 2, 6, "b", expected="a", through="2 tries"), op(READ, 3, 4, "b", exact=True),
         op(SWAP, 4, 5, "c", expected="b"), op(READ, 7, 8, "b")]),
    "a read with versions gives what is not acknowledged": (
        "lost write",
        [op(WRITE, 0, 1, "a"), op(WRITE, 2, 9, "b"), op(READ, 3, 4, "b", exact=True),
         op(READ, 5, 6, "a", exact=True)]),
    "a refused write is read": (
        "phantom",
        [op(WRITE, 0, 1, "a"), op(SWAP, 2, 3, "b", REFUSED, expected="c"), op(READ, 4, 5, "b")]),
    "a write that failed for sure is read": ("phantom", [op(WRITE, 0, 1, "a", FAILED), op(READ, 2, 3, "a")]),
    "a value that nobody wrote is read": ("phantom", [op(WRITE, 0, 1, "a"), op(READ, 2, 3, "z")]),
    "a value is read before it is written": ("phantom", [op(READ, 0, 1, "a"), op(WRITE, 2, 3, "a")]),
    "both of two unordered writes come back after the other": (
        "stale read",
        [op(WRITE, 0, 2, "a"), op(WRITE, 0, 2, "b"), op(READ, 3, 4, "a"), op(READ, 5, 6, "b")]),
    "a settled read gives what an unfinished write once seemed to have written": (
        "lost write",
        [op(WRITE, 0, 1, "a"), unknown(WRITE, 2, "b"), op(READ, 3, 4, "b"), op(READ, 5, 6, "b", settled=True),
         op(READ, 7, 8, "a", settled=True)]),
    "more is counted than there can be": (
        "wrong count", [op(WRITE, 0, 1, "a"), op(DELETE, 2, 3), op(COUNT, 4, 5, 1, last=1)]),
    "less is counted than there must be": ("wrong count", [op(WRITE, 0, 1, "a"), op(COUNT, 4, 5, 0, last=1)]),
}  # fmt: skip


@pytest.mark.parametrize("story", BAD)
def test_a_bad_history_is_found(story):
    kind, history = BAD[story]
    assert kinds(*history) == [kind]


GOOD = {
    "writes at once have either order": [
        op(WRITE, 0, 3, "a"), op(WRITE, 1, 2, "b"), op(READ, 4, 5, "a"), op(READ, 6, 7, "a")],
    "an unfinished write may happen late": [
        op(WRITE, 0, 1, "a"), unknown(WRITE, 2, "b"), op(READ, 3, 4, "a"), op(READ, 90, 91, "b", settled=True)],
    "or never": [op(WRITE, 0, 1, "a"), unknown(WRITE, 2, "b"), op(READ, 90, 91, "a", settled=True)],
    "an unfinished delete may happen late": [
        op(WRITE, 0, 1, "a"), unknown(DELETE, 2), op(READ, 3, 4, "a"), op(READ, 90, 91, None, settled=True)],
    "a read gives a write on its way, and the next one does not": [
        op(WRITE, 0, 1, "a"), op(WRITE, 2, 9, "b"), op(READ, 3, 4, "b"), op(READ, 5, 6, "a")],
    "a write that was read on its way and is lost with its primary was never acknowledged": [
        op(WRITE, 0, 1, "a"), unknown(WRITE, 2, "b"), op(READ, 3, 4, "b"), op(READ, 90, 91, "a", settled=True)],
    "an unfinished conditional write": [
        op(WRITE, 0, 1, "a"), unknown(SWAP, 2, "b", expected="a"), op(SWAP, 3, 4, "c", REFUSED, expected="a"),
        op(SWAP, 5, 6, "d", expected="b"), op(READ, 7, 8, "d", settled=True)],
    "a refusal by a write whose own answer comes later": [
        op(WRITE, 0, 1, "a"), op(WRITE, 2, 9, "b"), op(SWAP, 3, 4, "c", REFUSED, expected="a"), op(READ, 5, 6, "b")],
    "a refusal by a write of which nobody knows": [
        op(WRITE, 0, 1, "a"), unknown(WRITE, 2, "b"), op(SWAP, 3, 4, "c", REFUSED, expected="a"), op(READ, 5, 6, "b")],
    "a conditional delete, and a conditional write where there is no point": [
        op(WRITE, 0, 1, "a"), op(SWAP, 2, 3, None, expected="a"), op(SWAP, 4, 5, "b", expected=None),
        op(COUNT, 6, 7, 1, last=1)],
    "a write that was sent three times under its name": [
        op(WRITE, 0, 5, "a", through="3 tries"), op(READ, 1, 2, "a"), op(WRITE, 3, 4, "b"), op(READ, 6, 7, "b")],
    "a point is written again after its deletion": [
        op(WRITE, 0, 1, "a"), op(DELETE, 2, 3), op(WRITE, 4, 5, "b"), op(READ, 6, 7, "b")],
    "a count while points come and go": [
        op(WRITE, 0, 1, "a"), op(DELETE, 2, 9), op(COUNT, 3, 4, 1, last=1), op(COUNT, 5, 6, 0, last=1)],
}  # fmt: skip


@pytest.mark.parametrize("story", GOOD)
def test_a_good_history_passes(story):
    assert kinds(*GOOD[story]) == []


def test_reads_that_go_back_break_linearizability_and_not_the_promise():
    history = GOOD["a read gives a write on its way, and the next one does not"]
    assert kinds(*history) == []
    assert kinds(*history, strict=True) == ["stale read"]


def simulated(choice, clients=6, operations=60, crashes=0.1):
    """What clients of one point see that does everything at one moment between start and end."""
    moments, history, clock = [], [], [0.0] * clients
    for number in range(operations):
        client = choice.randrange(clients)
        start = clock[client] + choice.random()
        moment = start + choice.random() * 3
        end = moment + choice.random() * 3
        clock[client] = end
        moments.append((moment, number, start, end))
    state = None
    for _, number, start, end in sorted(moments):
        lost = choice.random() < crashes
        kind = choice.choice([WRITE, SWAP, DELETE, READ, READ, READ])
        if kind == READ:
            history.append(op(READ, start, end, state))
            continue
        operation = op(kind, start, inf if lost else end, outcome=UNKNOWN if lost else OK)
        if kind != DELETE:
            operation.value = f"v{number}"
        if kind == SWAP:
            operation.expected = choice.choice([state, "something else"])
        if kind == SWAP and operation.expected != state:
            operation.outcome = UNKNOWN if lost else REFUSED
        elif not lost or choice.random() < 0.5:
            state = operation.value
        history.append(operation)
    return history


@pytest.mark.parametrize("seed", range(40))
def test_what_a_true_register_does_is_linearizable_and_one_changed_answer_is_not(seed):
    choice = random.Random(seed)
    history = simulated(choice)
    assert kinds(*history, strict=True) == [], f"seed {seed}"
    # A value is read that an acknowledged write has replaced before the read began, or that is still to come.
    writes = [o for o in history if o.kind == WRITE and o.outcome == OK]
    reads = [o for o in history if o.kind == READ]
    pairs = [
        (read, old) for read in reads for old in writes
        if old.start > read.end or any(old.end < new.start and new.end < read.start for new in writes)
    ]  # fmt: skip
    read, old = choice.choice(pairs)
    read.value = old.value
    assert kinds(*history), f"seed {seed}: {read}"


def test_a_history_file_is_read_as_it_was_written(tmp_path):
    history = simulated(random.Random(7))
    (tmp_path / "history.jsonl").write_text("".join(operation.line() + "\n" for operation in history))
    assert list(read_history(tmp_path / "history.jsonl")) == history

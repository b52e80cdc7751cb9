"""A load generator that costs little: requests are bytes made beforehand, sent over raw keep-alive sockets.

One thread drives all connections by epoll, each with one request in flight (a closed loop). Answers are kept as bytes
and looked at afterwards.
"""

import select
import socket
import time
from dataclasses import dataclass, field


def request_bytes(method, path, body=b""):
    head = f"{method} {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Measured:
    seconds: float = 0.0
    own_cpu_seconds: float = 0.0
    latencies: list = field(default_factory=list)
    # The first answer to each request, by its index: (status, body).
    answers: dict = field(default_factory=dict)
    failures: int = 0

    @property
    def rate(self):
        return len(self.latencies) / self.seconds

    def percentile(self, share):
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.started = 0.0
        self.index = 0

    def send(self, index, request):
        self.index = index
        self.received.clear()
        self.started = time.perf_counter()
        self.socket.sendall(request)

    def receive(self):
        """(status, body) when the answer is complete, else None."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionError("the server closed a keep-alive connection")
        self.received += chunk
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.received[:end]).lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ConnectionError(f"an answer without Content-Length: {head[:200]}")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.received) < end + 4 + length:
            return None
        return int(head[9:12]), bytes(self.received[end + 4 :])


def run(addresses, requests, concurrency, seconds=None, repeats=1):
    """Sends `requests` in turn, over `concurrency` connections spread over the addresses.

    Until `seconds` have passed, starting anew as often as needed; or, without `seconds`, all of them `repeats` times.
    """
    measured = Measured()
    total = None if seconds else len(requests) * repeats
    poll = select.epoll()
    connections = {}
    for number in range(concurrency):
        connection = _Connection(addresses[number % len(addresses)])
        connections[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    own_cpu, started = time.process_time(), time.perf_counter()
    deadline = started + seconds if seconds else float("inf")
    sent = 0
    busy = 0
    for connection in connections.values():
        if total is None or sent < total:
            connection.send(sent % len(requests), requests[sent % len(requests)])
            sent += 1
            busy += 1
    while busy:
        for descriptor, _ in poll.poll():
            connection = connections[descriptor]
            answer = connection.receive()
            if answer is None:
                continue
            now = time.perf_counter()
            measured.latencies.append(now - connection.started)
            if answer[0] != 200:
                measured.failures += 1
            measured.answers.setdefault(connection.index, answer)
            if now < deadline and (total is None or sent < total):
                index = sent % len(requests)
                sent += 1
                connection.send(index, requests[index])
            else:
                busy -= 1
    measured.seconds = time.perf_counter() - started
    measured.own_cpu_seconds = time.process_time() - own_cpu
    for connection in connections.values():
        connection.socket.close()
    poll.close()
    return measured

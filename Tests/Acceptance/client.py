"""A small HTTP client that hides nothing: no retries, no pools, and a broken connection is its own kind of answer."""

import http.client
import json
import urllib.parse


class ConnectionBroken(Exception):
    """The server closed, refused or did not answer in time; says nothing about what it did."""


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def error(self):
        """The message of an error envelope."""
        status = self.json["status"]
        assert isinstance(status, dict) and isinstance(status["error"], str), f"not an error envelope: {self.text[:500]}"
        return status["error"]

    def expect(self, status):
        """The envelope's result."""
        assert self.status == status, f"{self.status} instead of {status}: {self.text[:1000]}"
        return self.json["result"]


class Client:
    """One keep-alive connection, opened when needed. Not for several threads."""

    def __init__(self, url, timeout=60):
        self.url = url
        address = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        """`body`: None, bytes that are sent as they are, or anything that JSON can hold."""
        sent = dict(headers or {})
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            if not isinstance(body, (bytes, bytearray, memoryview)):
                body = json.dumps(body).encode()
        try:
            self.connection.request(method, path, body, sent)
            response = self.connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise ConnectionBroken(f"{self.url}{path}: {error!r}") from error

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return self.request("POST", path, body)

    def put(self, path, body):
        return self.request("PUT", path, body)

    def delete(self, path):
        return self.request("DELETE", path)

    def close(self):
        self.connection.close()


def points_body(ids, vectors, payloads):
    """The bytes of an upsert in list form."""
    return json.dumps(
        {
            "points": [
                {"id": id, "vector": vector.tolist(), "payload": payload}
                for id, vector, payload in zip(ids, vectors, payloads)
            ]
        }
    ).encode()

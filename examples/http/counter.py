"""Counts up a key of FlareDB over HTTP, with Python's standard library alone.

    python3 counter.py KEY TIMES NODE...        where a NODE is HOST:PORT of its HTTP port

Any number of these may run at once, and nodes may die meanwhile: each time that it counts up counts once.

Two headers see to that. If-Match has the node write only if the key is still as it was read, so that no count of
another process is lost. Idempotency-Key has a write that is sent again, because its answer was lost, carried out once.
"""

import http.client
import sys
import time
import uuid
from urllib.parse import quote


class Store:
    """The nodes of a cluster: the one that answered last, and the next one when it does not."""

    def __init__(self, nodes):
        self.nodes = nodes

    def request(self, method, key, body=None, headers=None):
        """The answer to a request, sent to one node after the other until one has it. Repeating it must be safe."""
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection(self.nodes[0], timeout=10)
                try:
                    connection.request(method, "/v1/keys/" + quote(key, safe=""), body, headers or {})
                    answer = connection.getresponse()
                    text = answer.read()
                finally:
                    connection.close()
                # Overloaded, unavailable, or the outcome is unknown: the id makes it safe to ask again.
                if answer.status not in (429, 500, 503, 504):
                    return answer.status, answer.headers, text
                problem = text.decode()
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
            if time.monotonic() > deadline:
                raise TimeoutError(problem)
            self.nodes = self.nodes[1:] + self.nodes[:1]
            time.sleep(0.02)

    def count_up(self, key):
        """Adds 1 to the number that a key holds."""
        while True:
            status, headers, text = self.request("GET", key)
            found = status == 200
            condition = {"If-Match": headers["ETag"]} if found else {"If-None-Match": "*"}
            # One id for one write: the same however often it is sent, another one for the next attempt.
            status, _, answer = self.request(
                "PUT",
                key,
                str(int(text) + 1 if found else 1).encode(),
                {**condition, "Idempotency-Key": str(uuid.uuid4())},
            )
            if status == 200:
                return
            if status != 412:
                raise RuntimeError(answer.decode())


if __name__ == "__main__":
    if len(sys.argv) < 4 or not sys.argv[2].isdigit():
        sys.exit("usage: counter.py KEY TIMES HOST:PORT ...")
    _, key, times, *nodes = sys.argv
    store = Store(nodes)
    for _ in range(int(times)):
        store.count_up(key)
    print(f"counted {times} times")

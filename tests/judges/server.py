"""A server that knows all requests of a run, byte for byte, and gives each request the answer of its row."""

import asyncio
import threading

REFUSAL = b'{"type":"error","error":{"type":"invalid_request_error","message":"not one of the rows"}}'


class Server:
    """The server runs on a thread of its own. `key` returns the key of a row from the body of a request."""

    def __init__(self, rows, key):
        self.known = {row.asked: at for at, row in enumerate(rows)}
        assert len(self.known) == len(rows), "rows differ"
        self.messages = [row.message.encode() for row in rows]
        self.key = key
        self.arrived = [0] * len(rows)
        self.strange = []
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=[started], daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        listening = self.loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        server = self.loop.run_until_complete(listening)
        self.url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        server.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def answer(self, body):
        at = self.known.get(self.key(body))
        if at is None:
            self.strange.append(body)
            return 400, REFUSAL
        self.arrived[at] += 1
        return 200, self.messages[at]

    def differences(self):
        """Returns the number of faults: rows that did not arrive exactly once, and requests that belong to no row."""
        return sum(count != 1 for count in self.arrived) + len(self.strange)


class Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self, server):
        self.server = server
        self.received = bytearray()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower()
            lengths = [line for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
            size = end + 4 + (int(lengths[0].split(b":")[1]) if lengths else 0)
            if len(self.received) < size:
                return
            body = bytes(self.received[end + 4 : size])
            del self.received[:size]
            status, reply = self.server.answer(body)
            self.transport.write(
                b"HTTP/1.1 %d Made\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(reply))
                + reply
            )

"""A repository behind a web server that counts what it gives out, and misbehaves on demand."""
import collections
import http.server
import os
import pathlib
import re
import socket
import struct
import threading
import time


def taken(connection):
    """Whether the program at the other end, which is on this computer, has read all that was sent to it."""
    try:
        ours, theirs = (f"{at[1]:04X}" for at in (connection.getsockname(), connection.getpeername()))
    except OSError:  # it has ended: what it has not read it never will
        return True
    for line in pathlib.Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        sending, reading = (int(n, 16) for n in queues.split(":"))
        ends = here.split(":")[1], there.split(":")[1]
        if (ends == (ours, theirs) and sending) or (ends == (theirs, ours) and reading):
            return False
    return True


class Counting:
    """Plain HTTP/1.1 with kept connections, Range and ETag, over a folder.

    served[path] is the bytes of bodies that were sent; requests is [(method, path, range or None, status)];
    connections counts those that were accepted. What it does wrong, for paths that match the pattern `only`:

    cut         bytes of a body after which the connection is reset, `cuts` times (-1: always)
    hold        with cut: nothing more comes instead, for a minute or until it behaves
    ranges      "yes", "ignored" (the whole, status 200) or "refused" (status 416)
    other       bytes that are given instead of a file's
    drip        seconds between two bytes
    gone        404
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.behave()
        self.forget()
        counting = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self):
                counting._get(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request, client):
                counting.connections += 1
                super().process_request(request, client)

            def handle_error(self, request, client):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def behave(self, only=r"^objects/", cut=None, cuts=1, hold=False, ranges="yes", other=None, drip=None, gone=False):
        self.only, self.cut, self.cuts, self.hold, self.ranges = re.compile(only), cut, cuts, hold, ranges
        self.other, self.drip, self.gone = other, drip, gone

    def forget(self):
        self.served, self.requests, self.connections = collections.Counter(), [], 0

    def objects(self):
        """Paths of objects that were asked for, in order."""
        return [path for _, path, _, _ in self.requests if path.startswith("objects/")]

    def object_bytes(self):
        return sum(n for path, n in self.served.items() if path.startswith("objects/"))

    def _get(self, handler):
        path = handler.path.lstrip("/")
        wrong = bool(self.only.search(path))
        file = self.folder / path
        asked = handler.headers.get("Range")
        if not file.is_file() or (wrong and self.gone):
            return self._answer(handler, path, asked, 404, b"", {})
        data = file.read_bytes()
        etag = f'"{os.stat(file).st_mtime_ns:x}"'
        if wrong and self.other is not None:
            data = self.other(path, data) if callable(self.other) else self.other
        start = None
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        condition = handler.headers.get("If-Range")
        if match and (condition is None or condition == etag):
            start = int(match.group(1))
        if start is not None and wrong and self.ranges == "refused":
            return self._answer(handler, path, asked, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
        if start is None or (wrong and self.ranges == "ignored"):
            return self._answer(handler, path, asked, 200, data, {"ETag": etag}, wrong)
        if start >= len(data):
            return self._answer(handler, path, asked, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
        return self._answer(handler, path, asked, 206, data[start:],
                            {"ETag": etag, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, wrong)

    def _answer(self, handler, path, asked, status, body, headers, wrong=False):
        self.requests.append(("GET", path, asked, status))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if wrong and self.drip:
            for at in range(len(body)):
                self._send(handler, path, body[at:at + 1])
                time.sleep(self.drip)
            return
        if wrong and self.cut is not None and self.cuts != 0 and len(body) > self.cut:
            self.cuts -= 1
            self._send(handler, path, body[:self.cut])
            end = time.monotonic() + 60
            while self.hold and time.monotonic() < end:
                time.sleep(0.05)
            end = time.monotonic() + 30
            while not taken(handler.connection) and time.monotonic() < end:
                time.sleep(0.005)  # or the reset throws away what was sent
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        self._send(handler, path, body)

    def _send(self, handler, path, data):
        handler.wfile.write(data)
        handler.wfile.flush()
        self.served[path] += len(data)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

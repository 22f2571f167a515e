"""An HTTPS server that does what it is told, to whom it is told. To all others it is a common web server."""
import dataclasses
import gzip
import pathlib
import re
import socket
import struct
import threading
import typing

import web

# Made beforehand: a client that waits 2 s should not wait for this.
BOMBS = {"bomb": gzip.compress(bytes(64 << 20), 1), "small_bomb": gzip.compress(bytes(8 << 20), 1)}


@dataclasses.dataclass
class Wrong:
    """What is wrong with a server, for one client.

    tls    which of its certificates it shows (certs.contexts)
    raw    takes the connection as it comes, before TLS: raw(self, socket)
    http   takes a request: http(self, line, path, headers, answer) -> answered it all; False: as if nothing were wrong.
           `answer` is what an honest server would send, head and body
    only   the requests that it is for
    """
    tls: str = "good"
    raw: typing.Callable = None
    http: typing.Callable = None
    only: str = ""
    over: threading.Event = dataclasses.field(default_factory=threading.Event)

    def hold(self, seconds=120):
        """Nothing happens until the fault is over."""
        self.over.wait(seconds)


def reset(line):
    """Close with RST."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


class Server:
    def __init__(self, address, port, repository, contexts):
        self.address, self.repository, self.contexts = address, pathlib.Path(repository), contexts
        self.wrong = {}  # client address: Wrong
        self.requests = []  # (client address, path)
        self.lines = set()
        self.listener = socket.create_server((address, port), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def behave(self):
        """Nothing is wrong any more."""
        for wrong in self.wrong.values():
            wrong.over.set()
        self.wrong = {}
        self._cut()

    def _cut(self):
        for line in list(self.lines):
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def misbehave(self, client, wrong):
        self.wrong[client] = wrong
        self._cut()

    def close(self):
        self.behave()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                line, client = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line, client[0]), daemon=True).start()

    def _serve(self, line, client):
        wrong = self.wrong.get(client, Wrong())
        line.settimeout(120)
        self.lines.add(line)
        try:
            if wrong.raw:
                wrong.raw(wrong, line)
            elif self.contexts:
                with self.contexts[wrong.tls].wrap_socket(line, server_side=True) as secure:
                    self._talk(secure, client, wrong)
            else:
                self._talk(line, client, wrong)
        except (OSError, ValueError):
            pass
        finally:
            self.lines.discard(line)
            line.close()

    def _talk(self, line, client, wrong):
        text = b""
        while True:
            while b"\r\n\r\n" not in text:
                more = line.recv(65536)
                if not more:
                    return
                text += more
            head, text = text.split(b"\r\n\r\n", 1)
            path = head.split(b" ")[1].decode()
            headers = {n.strip().lower(): v.strip() for n, v in
                       (row.decode().split(":", 1) for row in head.split(b"\r\n")[1:])}
            self.requests.append((client, path))
            answer = web.Web.answer(self, path, headers)
            if wrong.http and re.search(wrong.only, path) and wrong.http(wrong, line, path, headers, answer):
                return
            line.sendall(answer)


# --- what may be wrong. Each makes a Wrong; the table of cases names them.

def split(answer):
    head, body = answer.split(b"\r\n\r\n", 1)
    return head, body


def certificate(kind):
    return Wrong(tls=kind)


def connection(how):
    def raw(self, line):
        if how == "reset":
            reset(line)
        elif how == "stall":
            self.hold()
        elif how == "closed":
            line.recv(4096)  # the hello
            line.shutdown(socket.SHUT_RDWR)
        elif how == "half_hello":
            line.recv(4096)
            line.sendall(b"\x16\x03\x03\x00\x7a\x02")  # the first bytes of an answer to it, and no more
            self.hold()
        elif how == "plain_http":
            line.recv(4096)
            line.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n")
            self.hold(0.2)
        elif how == "ssh":
            line.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            self.hold(0.2)
    return Wrong(raw=raw)


def says(status, body=b"", only="", **headers):
    """Every request gets this answer. Header names: retry_after is Retry-After."""
    def http(self, line, path, request, answer):
        rows = {"Content-Length": str(len(body)), **{n.replace("_", "-").title(): v for n, v in headers.items()}}
        line.sendall(f"HTTP/1.1 {status}\r\n".encode() + b"".join(f"{n}: {v}\r\n".encode() for n, v in rows.items()) +
                     b"\r\n" + body)
        return True
    return Wrong(http=http, only=only)


BLOCKED = b"<!DOCTYPE html><html><head><title>Access blocked</title></head><body>Your organisation does not allow this page.</body></html>"


def page(only="", status="200 OK", text=BLOCKED):
    return says(status, text, only, content_type="text/html; charset=utf-8")


def bytes_instead(make, only=""):
    """The body, changed: make(body) -> bytes, with a length that fits."""
    def http(self, line, path, request, answer):
        head, body = split(answer)
        if not head.startswith(b"HTTP/1.1 20"):
            return False
        body = make(body)
        line.sendall(re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body)
        return True
    return Wrong(http=http, only=only)


def body(how, only=""):
    """What is wrong with the way a body comes."""
    def http(self, line, path, request, answer):
        head, data = split(answer)
        if not head.startswith(b"HTTP/1.1 20"):
            return False
        if how == "truncated":  # the length is right, and half of it comes
            line.sendall(head + b"\r\n\r\n" + data[:len(data) // 2])
        elif how == "cut":
            line.sendall(head + b"\r\n\r\n" + data[:len(data) // 2])
            self.hold(0.1)
            reset(line)
        elif how == "too_short_length":
            line.sendall(re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % (len(data) // 2), head) + b"\r\n\r\n" + data)
        elif how == "too_long_length":
            line.sendall(re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % (len(data) + 1000), head) + b"\r\n\r\n" + data)
        elif how == "stall":
            if "range" not in request:  # for the rest nothing comes at all
                line.sendall(head + b"\r\n\r\n" + data[:len(data) // 2])
            self.hold()
        elif how == "no_body":
            line.sendall(head + b"\r\n\r\n")
            self.hold()
        elif how == "silence":
            self.hold()
        elif how == "drip":
            line.sendall(head + b"\r\n\r\n")
            for at in range(len(data)):
                line.sendall(data[at:at + 1])
                if self.over.wait(1):
                    break
        elif how == "drip_head":
            for at in range(len(head)):
                line.sendall(head[at:at + 1])
                if self.over.wait(1):
                    break
        elif how == "endless":
            line.sendall(re.sub(rb"Content-Length: \d+\r\n", b"", head) + b"\r\n\r\n")
            while not self.over.is_set():
                line.sendall(bytes(1 << 16))
        elif how == "endless_head":
            line.sendall(b"HTTP/1.1 200 OK\r\n")
            while not self.over.is_set():
                line.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")
        elif how in BOMBS:
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(BOMBS[how]) + BOMBS[how])
        elif how == "bad_chunks":
            line.sendall(re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head) + b"\r\n\r\nzz\r\nno\r\n")
        elif how == "garbage":
            line.sendall(b"\x00\x01\x02 no HTTP at all\r\n\r\n" * 4)
        elif how == "empty":
            line.sendall(re.sub(rb"Content-Length: \d+", b"Content-Length: 0", head) + b"\r\n\r\n")
        return True
    return Wrong(http=http, only=only)


def redirect(to, status="302 Found"):
    """`to` may have {path}."""
    def http(self, line, path, request, answer):
        line.sendall(f"HTTP/1.1 {status}\r\nLocation: {to.format(path=path)}\r\nContent-Length: 0\r\n\r\n".encode())
        return True
    return Wrong(http=http)


def redirect_to_page(to):
    """Where it leads to is this server too, under another name, and says that one has to log in."""
    def http(self, line, path, request, answer):
        if request.get("host", "").split(":")[0] != to.split("/")[2]:
            line.sendall(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            text = b"<html><head><title>Guest network</title></head></html>"
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return True
    return Wrong(http=http)


def other_repository(folder, only=""):
    """Files of another repository: an older copy, or somebody else's."""
    def http(self, line, path, request, answer):
        class Other:
            repository = pathlib.Path(folder)
        line.sendall(web.Web.answer(Other, path, request))
        return True
    return Wrong(http=http, only=only)


class Front(Server):
    """A relay's address: what comes is passed on to the relay as it is. For whom something is wrong, we speak
    ourselves, with the relay's certificate."""

    def __init__(self, address, port, repository, contexts, behind):
        self.behind = behind
        super().__init__(address, port, repository, contexts)

    def _serve(self, line, client):
        if client in self.wrong:
            super()._serve(line, client)
            return
        try:
            other = socket.create_connection(self.behind, timeout=10)
        except OSError:
            reset(line)
            return
        self.lines |= {line, other}
        back = threading.Thread(target=self._pass, args=(other, line), daemon=True)
        back.start()
        self._pass(line, other)
        back.join()
        self.lines -= {line, other}
        line.close()
        other.close()

    @staticmethod
    def _pass(one, two):
        try:
            while data := one.recv(65536):
                two.sendall(data)
            two.shutdown(socket.SHUT_WR)
        except OSError:
            for line in (one, two):
                try:
                    line.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

"""The DNS server: names as they are, unless a computer is to hear something else.

rules[(client address, name)] is "missing" (NXDOMAIN), "servfail", "silent", "garbage" or another address.
"""
import socket
import struct
import threading

A, AAAA = 1, 28
OK, SERVFAIL, NXDOMAIN = 0, 2, 3


class Names:
    def __init__(self, address, names):
        self.names, self.rules, self.asked = dict(names), {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.closing = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                question, client = self.socket.recvfrom(2048)
                if self.closing:
                    return
                answer = self._answer(question, client[0])
                if answer:
                    self.socket.sendto(answer, client)
            except OSError:
                if self.closing:
                    return
            except (IndexError, struct.error, UnicodeDecodeError):
                pass  # not a question

    def _answer(self, question, client):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        section = question[12:at + 5]
        name = ".".join(labels).lower()
        self.asked.append((client, name))
        rule = self.rules.get((client, name), self.names.get(name, "missing"))
        if rule == "silent":
            return None
        if rule == "garbage":
            return question[:2] + b"\xff" * 20
        code = {"missing": NXDOMAIN, "servfail": SERVFAIL}.get(rule, OK)
        records = b""
        if code == OK and kind == A:
            records = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 0, 4) + socket.inet_aton(rule)
        return (question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if records else 0, 0, 0) + section + records)

    def close(self):
        """A socket that somebody waits at keeps its address: the one who waits has to go first."""
        self.closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()

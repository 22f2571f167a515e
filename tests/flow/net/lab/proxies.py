"""Proxies: squid, as people have it, and one whose answers the test writes.

Squid's ports: OPEN takes everybody, BASIC and DIGEST want lab/secret in their way, BUMP looks into TLS with a CA
of its own, CLOSED forbids everything (with squid's page).
"""
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import site_parts as parts

from . import certs, places
from .server import reset

OPEN, BASIC, DIGEST, BUMP, CLOSED, OURS, SOCKS = 3128, 3129, 3130, 3131, 3132, 3140, 1080
USER, PASSWORD = "lab", "secret"
HOME = pathlib.Path("/var/spool/squid")  # covered by a file system that only we see
PROGRAMS = "/usr/lib/squid"


def why_no_squid():
    for program in ("/usr/sbin/squid", f"{PROGRAMS}/security_file_certgen", f"{PROGRAMS}/basic_ncsa_auth",
                    f"{PROGRAMS}/digest_file_auth"):
        if not os.path.exists(program):
            return f"'{program}' is not installed (squid-openssl)"
    return None


class Squid:
    def __init__(self, folder, trusted):
        """`trusted` is the PEM file of the CA that the source's certificate is of."""
        self.process = None
        self.ca = certs.Authority(folder, "Inspection CA")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=64m", "lab", HOME], check=True)
        pem = HOME / "ca.pem"
        pem.write_text(self.ca.pem + certs._pem(self.ca.key).decode())
        (HOME / "trusted.pem").write_text(pathlib.Path(trusted).read_text())
        hashed = places.call("openssl", "passwd", "-apr1", PASSWORD).strip()
        (HOME / "basic").write_text(f"{USER}:{hashed}\n")
        (HOME / "digest").write_text(f"{USER}:{PASSWORD}\n")
        (HOME / "squid.conf").write_text(self._conf())
        places.call(f"{PROGRAMS}/security_file_certgen", "-c", "-s", HOME / "certificates", "-M", "4MB")
        for path in (HOME, *HOME.rglob("*")):
            shutil.chown(path, "proxy", "proxy")
        # What changes its user keeps no signal for its parent's death: setpriv asks for one after it.
        self.process = subprocess.Popen(["setpriv", "--reuid", "proxy", "--regid", "proxy", "--clear-groups", "--pdeathsig", "KILL",
                                         "/usr/sbin/squid", "-N", "-n", f"lab{os.getpid()}", "-f", HOME / "squid.conf"],
                                        cwd=HOME, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=open(HOME / "errors", "wb"), env={"PATH": os.environ["PATH"]})
        parts.until(f"squid to listen ({self.errors()})", self._listens)

    def errors(self):
        return (HOME / "errors").read_text() if (HOME / "errors").exists() else ""

    def _listens(self):
        if self.process.poll() is not None:
            raise parts.Failed(f"squid has ended: {self.errors()}")
        for port in (OPEN, BASIC, DIGEST, BUMP, CLOSED):
            try:
                socket.create_connection((places.PROXY, port), 1).close()
            except OSError:
                return False
        return True

    def _conf(self):
        address = places.PROXY
        return f"""
http_port {address}:{OPEN}
http_port {address}:{BASIC}
http_port {address}:{DIGEST}
http_port {address}:{CLOSED}
http_port {address}:{BUMP} ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert={HOME}/ca.pem
sslcrtd_program {PROGRAMS}/security_file_certgen -s {HOME}/certificates -M 4MB
sslcrtd_children 2 startup=1
acl first at_step SslBump1
acl bumped localport {BUMP}
ssl_bump peek first
ssl_bump bump bumped
ssl_bump splice all
tls_outgoing_options cafile={HOME}/trusted.pem
auth_param basic program {PROGRAMS}/basic_ncsa_auth {HOME}/basic
auth_param basic children 1 startup=1
auth_param basic realm lab
auth_param basic credentialsttl 1 second
auth_param digest program {PROGRAMS}/digest_file_auth {HOME}/digest
auth_param digest children 1 startup=1
auth_param digest realm lab
acl basic localport {BASIC}
acl digest localport {DIGEST}
acl closed localport {CLOSED}
acl known proxy_auth REQUIRED
auth_schemes basic basic
auth_schemes digest digest
http_access deny closed
http_access deny basic !known
http_access deny digest !known
http_access allow all
cache deny all
dns_nameservers {places.DNS}
dns_timeout 2 seconds
positive_dns_ttl 1 second
negative_dns_ttl 1 second
connect_timeout 2 seconds
forward_timeout 3 seconds
connect_retries 0
pid_filename none
access_log none
cache_log {HOME}/log
coredump_dir {HOME}
netdb_filename none
pinger_enable off
visible_hostname proxy.lab
shutdown_lifetime 0 seconds
"""

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        subprocess.run(["umount", "-l", HOME], capture_output=True)


def _splice(one, two):
    def pass_on(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            for line in (a, b):
                try:
                    line.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
    back = threading.Thread(target=pass_on, args=(two, one), daemon=True)
    back.start()
    pass_on(one, two)
    back.join()


class Proxy:
    """One that does what it is told. `wrong` is None (it connects), a status line with a body, or a word of _odd."""

    def __init__(self, names):
        self.names, self.wrong, self.over = names, None, threading.Event()
        self.credentials = None  # (user, password) that SOCKS wants
        self.listeners = [self._listen(OURS, self._http), self._listen(SOCKS, self._socks)]

    def _listen(self, port, serve):
        listener = socket.create_server((places.PROXY, port))

        def accept():
            while True:
                try:
                    line = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=self._guard, args=(serve, line), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return listener

    def behave(self):
        self.wrong = self.credentials = None
        self.over.set()
        self.over = threading.Event()

    def _guard(self, serve, line):
        line.settimeout(60)
        try:
            with line:
                serve(line)
        except (OSError, ValueError, IndexError):
            pass

    def _connect(self, host, port):
        return socket.create_connection((self.names.get(host, host), port), 5)

    def _http(self, line):
        text = b""
        while b"\r\n\r\n" not in text:
            more = line.recv(65536)
            if not more:
                return
            text += more
        if self.wrong is not None:
            self._odd(line)
            return
        host, port = text.split(b" ")[1].decode().rsplit(":", 1)
        with self._connect(host, int(port)) as other:
            line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _splice(line, other)

    def _odd(self, line):
        if self.wrong == "reset":
            reset(line)
        elif self.wrong == "silent":
            self.over.wait(60)
        elif self.wrong == "closed":
            pass
        elif self.wrong == "garbage":
            line.sendall(b"220 mail.example ESMTP\r\n")
        elif self.wrong == "dead tunnel":
            line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.over.wait(60)
        elif self.wrong == "page in the tunnel":
            line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            line.recv(4096)
            line.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>blocked</html>")
        else:
            status, body = self.wrong
            line.sendall(f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
                         f"Connection: close\r\n\r\n{body}".encode())

    # --- SOCKS5, RFC 1928 and 1929

    def _socks(self, line):
        greeting = line.recv(512)
        methods = greeting[2:2 + greeting[1]]
        want = 2 if self.credentials else 0
        if want not in methods:
            line.sendall(b"\x05\xff")
            return
        line.sendall(bytes([5, want]))
        if want:
            said = line.recv(1024)
            user = said[2:2 + said[1]]
            password = said[3 + len(user):3 + len(user) + said[2 + len(user)]]
            good = (user.decode(), password.decode()) == self.credentials
            line.sendall(bytes([1, 0 if good else 1]))
            if not good:
                return
        asked = line.recv(1024)
        host = asked[5:5 + asked[4]].decode() if asked[3] == 3 else socket.inet_ntoa(asked[4:8])
        port = int.from_bytes(asked[-2:], "big")
        if self.wrong is not None:
            line.sendall(bytes([5, self.wrong, 0, 1]) + bytes(6))
            return
        with self._connect(host, port) as other:
            line.sendall(b"\x05\x00\x00\x01" + bytes(6))
            _splice(line, other)

    def close(self):
        self.behave()
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

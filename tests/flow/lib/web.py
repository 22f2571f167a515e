"""An update source that counts: requests, bytes of HTTP in both directions, connections and handshakes.

It answers as a common web server does, with that one's headers, over kept connections. `folder` may be changed while
it runs, and `answer` be replaced, to serve what no honest server would.
"""
import email.utils
import pathlib
import socket
import ssl
import subprocess
import threading


def certificates(folder):
    """ca.pem, and cert.pem with key.pem for localhost."""
    def openssl(*words):
        subprocess.run(["openssl", *[str(w) for w in words]], check=True, capture_output=True)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
            "-subj", "/CN=Update source test CA", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "csr.pem")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", folder / "csr.pem", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-days", 30, "-extfile", folder / "ext", "-out", folder / "cert.pem")


NOT_FOUND = b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n" \
            b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"


class Web:
    def __init__(self, folder, repository):
        self.folder, self.repository = pathlib.Path(folder), pathlib.Path(repository)
        certificates(self.folder)
        self.ca = self.folder / "ca.pem"
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        self.reset()
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self):
        with self.lock:
            self.requests, self.bytes_in, self.bytes_out, self.connections = [], 0, 0, 0

    def paths(self, objects=False):
        """What was asked for, in order; objects are left out unless wanted."""
        return [p for p in self.requests if objects or not p.startswith("/objects/")]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept, which close alone does not
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        client.settimeout(60)
        try:
            with client, self.tls.wrap_socket(client, server_side=True) as line:
                with self.lock:
                    self.connections += 1
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
                    reply = self.answer(path, headers)
                    with self.lock:
                        self.requests.append(path)
                        self.bytes_in += len(head) + 4
                        self.bytes_out += len(reply)
                    line.sendall(reply)
        except OSError:
            pass

    def answer(self, path, headers):
        where = self.repository / path.lstrip("/")
        date = email.utils.formatdate(usegmt=True)
        common = f"Server: nginx\r\nDate: {date}\r\n"
        if not where.is_file():
            return (f"HTTP/1.1 404 Not Found\r\n{common}Content-Type: text/html\r\nContent-Length: {len(NOT_FOUND)}\r\n"
                    "Connection: keep-alive\r\n\r\n").encode() + NOT_FOUND
        data, about = where.read_bytes(), where.stat()
        tag = f'"{int(about.st_mtime):x}-{about.st_size:x}"'
        marks = f"Last-Modified: {email.utils.formatdate(about.st_mtime, usegmt=True)}\r\nConnection: keep-alive\r\nETag: {tag}\r\n"
        if headers.get("if-none-match") == tag:
            return f"HTTP/1.1 304 Not Modified\r\n{common}{marks}\r\n".encode()
        status, extra = "200 OK", ""
        if headers.get("range", "").startswith("bytes=") and headers.get("if-range", tag) == tag:
            start = int(headers["range"][6:].split("-")[0])
            status, extra = "206 Partial Content", f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}\r\n"
            data = data[start:]
        return (f"HTTP/1.1 {status}\r\n{common}Content-Type: application/octet-stream\r\nContent-Length: {len(data)}\r\n"
                f"{marks}{extra}Accept-Ranges: bytes\r\n\r\n").encode() + data

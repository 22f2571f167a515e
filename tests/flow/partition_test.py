"""The network between agent and Manager breaks, at every moment: each event arrives exactly once."""
import collections
import select
import socket
import threading
import time

import site_parts as parts


class Gate(threading.Thread):
    """A TCP forwarder that can be shut (connections are cut), or made to swallow answers."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target, self.open, self.swallow = port, True, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()

    def _pump(self, client, server):
        try:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is server and self.swallow:
                        continue  # the Manager has committed; the agent never hears of it
                    (server if ready is client else client).sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def shut(self):
        self.open = False
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def close(self):
        self.shut()
        self.listener.close()


def test_each_event_arrives_exactly_once(site, folder):
    site.add_publisher()
    site.publisher.release(parts.content(folder / "c", {"Test.One": b"find me\n"}))
    site.add_source()
    manager = site.add_manager()
    site.point_manager_at_source()
    gate = site._with(Gate(manager.ports["session"]))
    agent = site.add_agent("agent", activate=False)
    agent.cli("activate", "--url", f"https://localhost:{gate.port}", "--token", manager.token(), "--name", "agent")
    parts.until("the agent online", lambda: (manager.computer("agent") or {}).get("agent_state") == "online")
    manager.call("PATCH", "/settings", {"direct_fallback": True})  # no relay here
    assert manager.wait_job(manager.job(relays=False))["outcome"] == "success"

    wanted = []
    for n in range(12):
        if n % 3 == 0:
            gate.shut()
        if n % 3 == 1:
            gate.open, gate.swallow = True, True
        if n % 3 == 2:
            gate.swallow = False
            gate.shut()
            gate.open = True
        where = folder / f"scan-{n}"
        where.mkdir()
        (where / "bad").write_bytes(b"find me\n")
        agent.cli("scan", where, check=False)
        wanted.append(str(where / "bad"))
        time.sleep(0.4)
    gate.swallow = False
    gate.shut()
    gate.open = True

    def arrived():
        found = collections.Counter(e["params"].get("path") for e in manager.events() if e["origin"] == "agent"
                                    and "path" in e["params"])
        return found if all(path in found for path in wanted) else None
    found = parts.until("all events to arrive", arrived, 120, 1)
    assert {path: found[path] for path in wanted} == {path: 1 for path in wanted}


def test_a_job_survives_a_partition(site, folder):
    site.add_publisher()
    site.publisher.release(parts.content(folder / "c", {"Test.One": b"find me\n"}))
    site.add_source()
    manager = site.add_manager()
    site.point_manager_at_source()
    gate = site._with(Gate(manager.ports["session"]))
    agent = site.add_agent("agent", activate=False)
    agent.cli("activate", "--url", f"https://localhost:{gate.port}", "--token", manager.token(), "--name", "agent")
    parts.until("the agent online", lambda: (manager.computer("agent") or {}).get("agent_state") == "online")
    manager.call("PATCH", "/settings", {"direct_fallback": True})  # no relay here
    gate.shut()
    job = manager.job(relays=False)
    time.sleep(2)
    gate.open = True
    done = manager.wait_job(job)
    assert done["outcome"] == "success", done
    assert len([e for e in manager.events(id=784)]) == 1

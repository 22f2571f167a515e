"""What a network, a clock or a disk can do, and what must come of it: one row a fault.

Each fault is made for one computer by its surroundings (lab/); the others keep working.
"""
import dataclasses
import time
import typing

import site_parts as parts
from lab import places, proxies, server
from lab.site import PROXY_NAME, RELAY_NAME, SOURCE_NAME

EVERYWHERE = ("direct", "relay", "manager")  # an agent that fetches from the source, a relay, the Manager
TIMESTAMP, OBJECTS = "/timestamp.json$", "^/objects/"


@dataclasses.dataclass(frozen=True)
class Case:
    """name    what is wrong
    cause   what it is called (src/proto/causes.json): in the job's result, the events, the logs, the status
    fault   (lab, computer): makes it so
    at      the computers where it can occur
    gives_up  the settings that bound how long it is tried, besides the answer itself
    says    what else the sentence tells: names, addresses, numbers that were seen
    waits   (reason) a strict xfail until what it names is there
    """
    name: str
    cause: str
    fault: typing.Callable
    at: tuple = EVERYWHERE
    gives_up: tuple = ()
    says: tuple = ()
    waits: str = ""


# --- the ways to make a fault

def dns(rule):
    return lambda lab, at: lab.names.rules.update({(lab.address(at), SOURCE_NAME): rule})


def firewall(verdict):
    return lambda lab, at: lab.world.firewall(lab.place(at), places.SOURCE, verdict)


def route(kind):
    return lambda lab, at: lab.no_route(at, kind, places.SOURCE)


def source(make, *args, **more):
    """The source is wrong. `more` and `args` are for one of the makers in lab/server.py."""
    return lambda lab, at: lab.source.misbehave(lab.address(at), make(*args, **more))


def relay(make, *args, **more):
    """Whoever has the relay's address is wrong."""
    return lambda lab, at: lab.relay_front.misbehave(lab.address(at), make(*args, **more))


def relay_dns(rule):
    return lambda lab, at: lab.names.rules.update({(lab.address(at), RELAY_NAME): rule})


def relay_firewall(verdict):
    return lambda lab, at: lab.world.firewall(lab.place(at), places.RELAY_FRONT, verdict)


def relay_route(kind):
    return lambda lab, at: lab.no_route(at, kind, places.RELAY_FRONT)


def older(whose, only=""):
    """The computer has a newer copy than it is offered."""
    def fault(lab, at):
        if at == "manager":
            lab.look()
            parts.until("the Manager to know what is newest", lambda: lab.newest() == {"am-pattern": lab.version})
        else:
            assert lab.run(at, relays=at == "agent" or None)["outcome"] == "success"
        lab.release()
        whose(lab).misbehave(lab.address(at), server.other_repository(lab.old, only))
    return fault


# --- between a computer and the update source

SOURCE = [
    # names
    Case("the name does not exist", "net.dns", dns("missing"), says=(SOURCE_NAME,)),
    Case("the DNS server fails", "net.dns_server", dns("servfail"), says=(SOURCE_NAME,)),
    Case("the DNS server says nothing", "net.dns_server", dns("silent"), gives_up=("connect_s",), says=(SOURCE_NAME,)),
    Case("the DNS server says nonsense", "net.dns_server", dns("garbage"), gives_up=("connect_s",), says=(SOURCE_NAME,)),
    Case("DNS leads to a computer that does not serve", "net.refused", dns(places.OTHER), says=(places.OTHER,)),
    Case("DNS leads to a computer that is not there", "net.unreachable", dns(places.NOBODY), says=(places.NOBODY,)),
    # ways
    Case("nothing listens", "net.refused", firewall("reset"), says=(places.SOURCE, "443")),
    Case("a firewall drops", "net.timeout", firewall("drop"), gives_up=("connect_s",), says=(SOURCE_NAME,)),
    Case("a firewall forbids", "net.unreachable", firewall("prohibited"), says=(SOURCE_NAME,)),
    Case("there is no route", "net.unreachable", route("unreachable"), says=(places.SOURCE,)),
    Case("the own system forbids", "net.unreachable", route("prohibit"), says=(places.SOURCE,)),
    # connections and TLS
    Case("connections are cut at once", "net.reset", source(server.connection, "reset")),
    Case("nothing answers the TLS hello", "tls.timeout", source(server.connection, "stall"), gives_up=("connect_s",)),
    Case("the TLS handshake stops in the middle", "tls.timeout", source(server.connection, "half_hello"), gives_up=("connect_s",)),
    Case("the TLS handshake is cut", "net.reset", source(server.connection, "closed")),
    Case("it speaks HTTP without TLS", "tls.failed", source(server.connection, "plain_http")),
    Case("it speaks another protocol", "tls.failed", source(server.connection, "ssh")),
    Case("it speaks only old TLS", "tls.failed", source(server.certificate, "old_tls")),
    Case("its certificate has expired", "tls.expired", source(server.certificate, "expired"), says=("updates.lab",)),
    Case("its certificate is not valid yet", "tls.not_yet", source(server.certificate, "not_yet"), says=("updates.lab",)),
    Case("its certificate is for another name", "tls.name", source(server.certificate, "wrong_name"),
         says=("somewhere.else.example",)),
    Case("its certificate signed itself", "tls.self_signed", source(server.certificate, "self_signed"), says=("updates.lab",)),
    Case("its certificate is of an unknown CA", "tls.untrusted", source(server.certificate, "other_ca"),
         says=("Somebody Else CA",)),
    # answers
    Case("a page says that it is blocked", "http.block_page", source(server.page)),
    Case("a page comes for an object only", "http.block_page", source(server.page, OBJECTS), at=("direct", "relay")),
    Case("400", "http.status", source(server.says, "400 Bad Request"), says=("400",)),
    Case("401", "http.forbidden", source(server.says, "401 Unauthorized"), says=("401",)),
    Case("403", "http.forbidden", source(server.says, "403 Forbidden"), says=("403",)),
    Case("a web server's page for 403", "http.forbidden",
         source(server.page, status="403 Forbidden", text=b"<html><head><title>403 Forbidden</title></head></html>"), says=("403",)),
    Case("a filter's page with 403", "http.block_page", source(server.page, status="403 Forbidden"), says=("Access blocked",)),
    Case("a network that wants a login", "http.portal", source(server.redirect_to_page, "https://login.lab/welcome"),
         says=("login.lab",)),
    Case("511", "http.portal", source(server.says, "511 Network Authentication Required"), says=("511",)),
    Case("404 for everything", "http.not_found", source(server.says, "404 Not Found")),
    Case("404 for an object", "content.missing", source(server.says, "404 Not Found", only=OBJECTS), at=("direct", "relay")),
    Case("408", "http.status", source(server.says, "408 Request Timeout"), says=("408",)),
    Case("429", "http.busy", source(server.says, "429 Too Many Requests"), says=("429",)),
    Case("500", "http.status", source(server.says, "500 Internal Server Error"), says=("500",)),
    Case("502", "http.status", source(server.says, "502 Bad Gateway"), says=("502",)),
    Case("503", "http.maintenance", source(server.says, "503 Service Unavailable"), says=("503",)),
    Case("503 with seconds to wait", "http.maintenance", source(server.says, "503 Service Unavailable", retry_after="1"),
         says=("503",)),
    Case("503 with a time to wait for", "http.maintenance",
         source(server.says, "503 Service Unavailable", retry_after="Fri, 01 Jan 2038 00:00:00 GMT"), says=("503",)),
    Case("503 and a page", "http.maintenance", source(server.page, status="503 Service Unavailable"), says=("503",)),
    Case("a redirect that goes in circles", "http.redirect", source(server.redirect, f"https://{SOURCE_NAME}{{path}}")),
    Case("a redirect out of TLS", "http.redirect", source(server.redirect, f"http://{SOURCE_NAME}{{path}}")),
    Case("a redirect to another protocol", "http.redirect", source(server.redirect, "ftp://elsewhere.lab{path}")),
    Case("a redirect to where nothing listens", "net.refused", source(server.redirect, "https://elsewhere.lab{path}"),
         says=("elsewhere.lab",)),
    # bodies
    Case("no answer to the request", "net.timeout", source(server.body, "silence", TIMESTAMP), gives_up=("timeout_s",)),
    Case("a body that never begins", "net.timeout", source(server.body, "no_body", TIMESTAMP), gives_up=("timeout_s",)),
    Case("a body that stops", "net.timeout", source(server.body, "stall", TIMESTAMP), gives_up=("timeout_s",)),
    Case("a body that is cut", "net.short_body", source(server.body, "truncated", TIMESTAMP)),
    Case("a connection that is cut in a body", "net.short_body", source(server.body, "cut", TIMESTAMP)),
    Case("a length that is too long", "net.short_body", source(server.body, "too_long_length", TIMESTAMP)),
    Case("a length that is too short", "tuf.format", source(server.body, "too_short_length", TIMESTAMP)),
    Case("an endless body", "http.too_large", source(server.body, "endless", TIMESTAMP)),
    Case("an endless head", "http.malformed", source(server.body, "endless_head", TIMESTAMP)),
    Case("a packed body that grows without end", "http.encoding", source(server.body, "bomb", TIMESTAMP)),
    Case("a packed body that is small enough", "http.encoding", source(server.body, "small_bomb", TIMESTAMP)),
    Case("broken chunks", "http.malformed", source(server.body, "bad_chunks", TIMESTAMP)),
    Case("no HTTP at all", "http.malformed", source(server.body, "garbage")),
    Case("no HTTP on a kept connection", "http.malformed", source(server.body, "garbage", TIMESTAMP)),
    Case("an empty body", "tuf.format", source(server.body, "empty", TIMESTAMP)),
    Case("noise for metadata", "tuf.format", source(server.bytes_instead, lambda b: b"\xfa\x17" * len(b), TIMESTAMP)),
    Case("metadata that somebody changed", "tuf.signature",
         source(server.bytes_instead, lambda b: b.replace(b'"version":', b'"version":9', 1), TIMESTAMP)),
    Case("an object that somebody changed", "content.hash", source(server.bytes_instead, lambda b: b[:-1] + bytes([b[-1] ^ 1]), OBJECTS),
         at=("direct", "relay")),
    Case("an object that is cut", "net.short_body", source(server.body, "truncated", OBJECTS), at=("direct", "relay")),
    Case("an object that stops", "net.timeout", source(server.body, "stall", OBJECTS), at=("direct", "relay"), gives_up=("timeout_s",)),
    Case("an object with the length of another", "content.size", source(server.body, "too_short_length", OBJECTS), at=("direct", "relay")),
    Case("an endless object", "http.too_large", source(server.body, "endless", OBJECTS), at=("direct", "relay")),
    Case("an empty object", "content.size", source(server.body, "empty", OBJECTS), at=("direct", "relay")),
    Case("a page of another length for an object", "content.size", source(server.bytes_instead, lambda b: b"sorry\n", OBJECTS),
         at=("direct", "relay")),
    Case("an older copy of the repository", "tuf.rollback",
         older(lambda lab: lab.source)),
    Case("an older timestamp only", "tuf.rollback", older(lambda lab: lab.source, TIMESTAMP)),
    Case("one byte a second", "net.slow", source(server.body, "drip", OBJECTS), at=("direct", "relay"),
         gives_up=("timeout_s",)),
]

# --- between an agent and its relay

def at_relay(*words, **more):
    return Case(*words, at=("agent",), **more)


RELAY = [
    at_relay("the relay's name does not exist", "net.dns", relay_dns("missing"), says=(RELAY_NAME,)),
    at_relay("the DNS server fails", "net.dns_server", relay_dns("servfail"), says=(RELAY_NAME,)),
    at_relay("DNS leads to a computer that does not serve", "net.refused", relay_dns(places.OTHER), says=(places.OTHER, "4122")),
    at_relay("nothing listens", "net.refused", relay_firewall("reset"), says=(places.RELAY_FRONT, "4122")),
    at_relay("a firewall drops", "net.timeout", relay_firewall("drop"), gives_up=("connect_s",), says=(RELAY_NAME,)),
    at_relay("a firewall forbids", "net.unreachable", relay_firewall("prohibited")),
    at_relay("there is no route", "net.unreachable", relay_route("unreachable")),
    at_relay("connections are cut at once", "net.reset", relay(server.connection, "reset")),
    at_relay("nothing answers the TLS hello", "tls.timeout", relay(server.connection, "stall"), gives_up=("connect_s",)),
    at_relay("it speaks HTTP without TLS", "tls.failed", relay(server.connection, "plain_http")),
    at_relay("somebody between shows another certificate", "tls.untrusted", relay(server.certificate, "other_ca"),
         says=("Somebody Else CA",)),
    at_relay("another computer has the relay's address", "tls.peer_identity", relay(server.certificate, "another_agent")),
    at_relay("a page says that it is blocked", "http.block_page", relay(server.page)),
    at_relay("403", "http.forbidden", relay(server.says, "403 Forbidden"), says=("403",)),
    at_relay("500", "http.status", relay(server.says, "500 Internal Server Error"), says=("500",)),
    at_relay("a redirect", "http.redirect", relay(server.redirect, "https://elsewhere.lab{path}")),
    at_relay("no answer", "net.timeout", relay(server.body, "silence", TIMESTAMP), gives_up=("timeout_s",)),
    at_relay("it stops in metadata", "net.short_body", relay(server.body, "truncated", TIMESTAMP)),
    at_relay("it stops in an object", "net.short_body", relay(server.body, "truncated", OBJECTS)),
    at_relay("it is cut in an object", "net.short_body", relay(server.body, "cut", OBJECTS)),
    at_relay("an object that somebody changed", "content.hash",
         relay(server.bytes_instead, lambda b: b[:-1] + bytes([b[-1] ^ 1]), OBJECTS)),
    at_relay("an object is not there", "content.missing", relay(server.says, "404 Not Found", only=OBJECTS)),
    at_relay("metadata that somebody changed", "tuf.signature",
         relay(server.bytes_instead, lambda b: b.replace(b'"version":', b'"version":9', 1), TIMESTAMP)),
    at_relay("an older copy of the repository", "update.relay_behind", older(lambda lab: lab.relay_front), gives_up=("limit_s",)),
    at_relay("an endless body", "http.too_large", relay(server.body, "endless", TIMESTAMP)),
]

# --- what a relay says while it is not ready: that is waited for, and nobody is told of a failure

RELAY_WAITS = [
    at_relay("503", "", relay(server.says, "503 Service Unavailable")),
    at_relay("503 with seconds to wait", "", relay(server.says, "503 Service Unavailable", retry_after="1")),
    at_relay("404 for metadata of an old copy", "", relay(server.says, "404 Not Found", only="snapshot.json$")),
]

# --- between a computer and its proxy, and beyond that

def proxy(port, user="", password="", kind="http", host=PROXY_NAME, squid=False, **ours):
    """The computer takes this proxy. `ours`: what is wrong with ours; squid: it must run."""
    def fault(lab, at):
        if squid:
            lab.need_squid()
        else:
            for name, value in ours.items() or [("wrong", None)]:
                setattr(lab.our_proxy, name, value)
        lab.proxy(at, f"{kind}://{host}:{port}", user, password)
    return fault


def both(*faults):
    def fault(lab, at):
        for one in faults:
            one(lab, at)
    return fault


def odd(wrong):
    return proxy(proxies.OURS, wrong=wrong)


def proxy_dns(rule):
    return both(lambda lab, at: lab.names.rules.update({(lab.address(at), PROXY_NAME): rule}), proxy(proxies.OURS))


def proxy_firewall(verdict):
    return both(lambda lab, at: lab.world.firewall(lab.place(at), places.PROXY, verdict), proxy(proxies.OURS))


PAGE = server.BLOCKED.decode()
WRONG = {"user": proxies.USER, "password": "not it"}
SOCKS = {"port": proxies.SOCKS, "kind": "socks5h"}

PROXY = [
    Case("the proxy's name does not exist", "proxy.dns", proxy_dns("missing"), says=(PROXY_NAME,)),
    Case("nothing listens at the proxy", "proxy.refused", proxy_firewall("reset"), says=(PROXY_NAME,)),
    Case("a firewall drops on the way to the proxy", "proxy.timeout", proxy_firewall("drop"), gives_up=("connect_s",)),
    Case("a firewall forbids the way to the proxy", "proxy.unreachable", proxy_firewall("prohibited")),
    Case("squid wants a password (Basic)", "proxy.auth", proxy(proxies.BASIC, squid=True), says=("407",)),
    Case("squid wants a password (Digest)", "proxy.auth", proxy(proxies.DIGEST, squid=True), says=("407",)),
    Case("the wrong password (Basic)", "proxy.credentials", proxy(proxies.BASIC, squid=True, **WRONG), says=("407",)),
    Case("the wrong password (Digest)", "proxy.credentials", proxy(proxies.DIGEST, squid=True, **WRONG), says=("407",)),
    Case("squid forbids the source", "proxy.forbidden", proxy(proxies.CLOSED, squid=True), says=("403",)),
    Case("squid looks into TLS", "tls.intercepted", proxy(proxies.BUMP, squid=True), says=("Inspection CA",)),
    Case("squid does not reach the source", "proxy.upstream",
         both(lambda lab, at: lab.names.rules.update({(address, SOURCE_NAME): "missing"
                                                     for address in (places.PROXY, places.DNS, places.WORLD)}),
              lambda lab, at: time.sleep(1.2),  # squid remembers for a second
              proxy(proxies.OPEN, squid=True)), says=("no way to the server",)),
    Case("the proxy answers 502", "proxy.upstream", odd(("502 Bad Gateway", "")), says=("502",)),
    Case("the proxy answers 504", "proxy.upstream", odd(("504 Gateway Timeout", "")), says=("504",)),
    Case("the proxy answers 403 with a page", "proxy.forbidden", odd(("403 Forbidden", PAGE)), says=("403",)),
    Case("the proxy sends to a login page", "proxy.failed", odd(("302 Found\r\nLocation: https://login.example/", "")), says=("302",)),
    Case("the proxy knows no CONNECT", "proxy.failed", odd(("405 Method Not Allowed", PAGE)), says=("405",)),
    Case("the proxy cuts the connection", "proxy.failed", odd("reset")),
    Case("the proxy closes without an answer", "proxy.failed", odd("closed")),
    Case("the proxy says nothing", "proxy.timeout", odd("silent"), gives_up=("connect_s",)),
    Case("it is no proxy", "proxy.failed", odd("garbage")),
    Case("the proxy's tunnel leads nowhere", "tls.timeout", odd("dead tunnel"), gives_up=("connect_s",)),
    Case("a page comes out of the proxy's tunnel", "tls.failed", odd("page in the tunnel")),
    Case("SOCKS wants a password", "proxy.auth", proxy(**SOCKS, credentials=(proxies.USER, proxies.PASSWORD))),
    Case("the wrong password (SOCKS)", "proxy.credentials",
         proxy(**SOCKS, credentials=(proxies.USER, proxies.PASSWORD), **WRONG)),
    Case("SOCKS forbids", "proxy.forbidden", proxy(**SOCKS, wrong=2)),
    Case("SOCKS does not reach the source", "proxy.upstream", proxy(**SOCKS, wrong=4)),
    Case("SOCKS finds nobody listening", "proxy.upstream", proxy(**SOCKS, wrong=5)),
]

# With the right credentials all goes on: (name, fault that is none)
PROXY_GOOD = [
    Case("squid", "", proxy(proxies.OPEN, squid=True)),
    Case("squid, Basic", "", proxy(proxies.BASIC, proxies.USER, proxies.PASSWORD, squid=True)),
    Case("squid, Digest", "", proxy(proxies.DIGEST, proxies.USER, proxies.PASSWORD, squid=True)),
    Case("ours", "", proxy(proxies.OURS)),
    Case("SOCKS", "", proxy(**SOCKS)),
    Case("SOCKS with a password", "", proxy(**SOCKS, user=proxies.USER, password=proxies.PASSWORD,
                                            credentials=(proxies.USER, proxies.PASSWORD))),
]

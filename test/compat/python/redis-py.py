#!/usr/bin/env python3
"""Drives redis-py: redis-py.py HOST PORT RESP2|RESP3 [pure]. With pure, without hiredis."""
import json
import os
import socket
import sys
import threading
import time

import redis
from redis import connection

try:
    import hiredis
except ImportError:
    hiredis = None

PATIENCE = 120  # bounds every wait, in seconds; nothing is measured with it
THOUSAND = 1000
MANY = 2000
NAME = f"compat-{os.getpid()}"


def topic(name):
    return f"{NAME}:{name}"


class Failed(Exception):
    pass


def same(what, got, want):
    if got != want:
        raise Failed(f"{what}: got {got!r}, not {want!r}")


def eventually(what, yes):
    end = time.monotonic() + PATIENCE
    while not yes():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {PATIENCE} s")
        time.sleep(0.01)


class Scenario:
    def __init__(self, host, port, protocol, pure):
        self.address = (host, port)
        options = {"host": host, "port": port, "socket_timeout": PATIENCE}
        if protocol == "RESP3" or int(redis.__version__.split(".")[0]) >= 5:
            options["protocol"] = int(protocol[-1])
        if pure:
            parser = getattr(connection, "PythonParser", None) or getattr(connection, f"_{protocol}Parser")
            options["parser_class"] = parser
        elif hiredis is None:
            raise Failed("hiredis is not installed")
        self.options = options
        self.pub = redis.Redis(connection_pool=redis.ConnectionPool(**options))
        sub = redis.Redis(connection_pool=redis.ConnectionPool(client_name=NAME, **options))
        self.sub = sub.pubsub()

    def next(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            got = self.sub.get_message(timeout=end - time.monotonic())
            if got is not None:
                return got
        raise Failed("nothing came")

    def expect(self, *events):
        """Waits for exactly these events, in this order: type, pattern, topic, data."""
        for i, want in enumerate(events):
            try:
                m = self.next()
            except (Failed, redis.RedisError) as err:
                raise Failed(f"event {i + 1} of {len(events)}, {want}: {err}") from err
            got = (m["type"], m["pattern"], m["channel"], m["data"])
            text = tuple(v.decode() if isinstance(v, bytes) else v for v in got)
            same(f"event {i + 1} of {len(events)}", text, want)

    def publish(self, name, payload, want):
        same(f"PUBLISH {name}", self.pub.publish(topic(name), payload), want)

    def connect(self):
        same("PING", self.pub.ping(), True)

    def subscribe(self):
        self.sub.subscribe(topic("one"), topic("two"))
        self.sub.psubscribe(topic("news.*"))
        self.expect(
            ("subscribe", None, topic("one"), 1),
            ("subscribe", None, topic("two"), 2),
            ("psubscribe", None, topic("news.*"), 3),
        )

    def counts(self):
        self.sub.subscribe(topic("news.both"))
        self.expect(("subscribe", None, topic("news.both"), 4))
        self.publish("nobody", "x", 0)
        self.publish("one", "", 1)
        self.publish("news.x", "\r\n\0\u00e9", 1)
        self.publish("news.both", "z", 2)
        self.publish("two", "last", 1)
        self.expect(
            ("message", None, topic("one"), ""),
            ("pmessage", topic("news.*"), topic("news.x"), "\r\n\0\u00e9"),
            ("message", None, topic("news.both"), "z"),
            ("pmessage", topic("news.*"), topic("news.both"), "z"),
            ("message", None, topic("two"), "last"),
        )

    @staticmethod
    def numbered(prefix):
        """A thousand messages, in turn for a topic and for the pattern."""
        return [
            ("pmessage", topic("news.*"), topic(f"news.{i}"), f"{prefix}{i}") if i % 2
            else ("message", None, topic("one"), f"{prefix}{i}")
            for i in range(THOUSAND)
        ]

    def thousand(self):
        messages = self.numbered("redis ")
        with self.pub.pipeline(transaction=False) as pipeline:
            for _, _, name, payload in messages:
                pipeline.publish(name, payload)
            same("PUBLISH", pipeline.execute(), [1] * THOUSAND)
        self.expect(*messages)

    def lines(self):
        """Publishes as a person would, in typed lines, and reads every answer."""
        messages = self.numbered('line, "quoted" ')
        with socket.create_connection(self.address, PATIENCE) as conn, conn.makefile("rw", newline="\n") as text:
            text.write("".join(f"PUB {name} {payload}\n" for _, _, name, payload in messages))
            text.flush()
            for _, _, name, _ in messages:
                same("PUB", text.readline(), f"OK PUB {name}\n")
        self.expect(*messages)

    def ping(self):
        self.sub.ping("are you there")
        self.expect(("pong", None, None, "are you there"))

    def unsubscribe(self):
        self.sub.unsubscribe(topic("two"), topic("news.both"))
        self.expect(
            ("unsubscribe", None, topic("two"), 3),
            ("unsubscribe", None, topic("news.both"), 2),
        )
        self.sub.punsubscribe(topic("news.*"))
        self.expect(("punsubscribe", None, topic("news.*"), 1))
        self.publish("two", "x", 0)
        self.publish("news.both", "x", 0)
        self.publish("one", "still", 1)
        self.expect(("message", None, topic("one"), "still"))

    def publish_many(self, payload):
        for i in range(MANY):
            self.publish(f"many-{i}", payload, 1)
        self.expect(*(("message", None, topic(f"many-{i}"), payload) for i in range(MANY)))

    def many(self):
        self.sub.subscribe(*(topic(f"many-{i}") for i in range(MANY)))
        self.expect(*(("subscribe", None, topic(f"many-{i}"), i + 2) for i in range(MANY)))
        self.publish_many("first")

    def listed(self):
        for client in self.pub.client_list():
            if client["name"] == NAME and client["sub"] != "0":
                return int(client["id"])
        return None

    def killed(self):
        number = self.listed()
        if number is None:
            raise Failed(f"CLIENT LIST: no subscriber has the name {NAME} in {self.pub.client_list()}")
        same("CLIENT KILL ID", self.pub.client_kill_filter(_id=number), 1)
        eventually("the killed one out of CLIENT LIST", lambda: self.listed() != number)

        def back():
            try:
                self.sub.get_message(timeout=0.01)
            except redis.ConnectionError:
                pass  # said once; the library has connected and subscribed again by then
            return all(self.pub.publish(topic(t), "probe") for t in ("one", "many-0", f"many-{MANY - 1}"))

        eventually("a subscriber after the kill", back)
        self.publish("one", "here again", 1)
        while self.next()["data"] != b"here again":
            pass
        self.publish_many("second")

    def streams(self):
        stream = topic("stream")
        ids = [self.pub.xadd(stream, {"n": n}) for n in range(3)]
        entries = [(entry, {b"n": b"%d" % n}) for n, entry in enumerate(ids)]
        same("XRANGE", self.pub.xrange(stream), entries)
        same("XREVRANGE", self.pub.xrevrange(stream, count=1), entries[2:])
        same("XREAD", self.pub.xread({stream: ids[0]}, block=1000), [[stream.encode(), entries[1:]]])
        same("XINFO STREAM", self.pub.xinfo_stream(stream)["last-generated-id"], ids[2])
        same("XTRIM", self.pub.xtrim(stream, maxlen=1, approximate=False), 2)
        same("DEL", self.pub.delete(stream), 1)

    def groups(self):
        """A group of three consumers, one of which dies and is claimed from."""
        stream, group = topic("jobs"), "workers"
        entries, acked = [], []

        def append():
            n = len(entries)
            entries.append((self.pub.xadd(stream, {"n": n}), {b"n": b"%d" % n}))

        def read(c, consumer, entry=">", count=4, **options):
            got = c.xreadgroup(group, consumer, {stream: entry}, count=count, **options)
            return got[stream.encode()][0] if isinstance(got, dict) else got[0][1]

        def acknowledge(c, some):
            ids = [entry for entry, _ in some]
            acked.extend(ids)
            same("XACK", c.xack(stream, group, *ids), len(ids))

        def counts(pending):
            (info,) = self.pub.xinfo_groups(stream)
            got = [info[key] for key in ("name", "consumers", "pending", "last-delivered-id", "lag")]
            same("XINFO GROUPS", got, [group.encode(), 3, pending, entries[-1][0], 0])
            consumers = {one["name"]: one["pending"] for one in self.pub.xinfo_consumers(stream, group)}
            same("XINFO CONSUMERS", consumers, {b"doomed": 0, b"first": pending, b"second": 0})

        same("XGROUP CREATE", self.pub.xgroup_create(stream, group, "0", mkstream=True), True)
        for _ in range(12):
            append()
        first, second, doomed = (redis.Redis(connection_pool=redis.ConnectionPool(**self.options)) for _ in range(3))
        same("XGROUP CREATECONSUMER", first.xgroup_createconsumer(stream, group, "first"), 1)
        for i, (name, c, acks) in enumerate((("doomed", doomed, 1), ("first", first, 4), ("second", second, 3))):
            got = read(c, name)
            same(f"XREADGROUP {name}", got, entries[4 * i:4 * i + 4])
            acknowledge(c, got[:acks])
        doomed.connection_pool.disconnect()
        pending = read(second, "second", "0")
        same("XREADGROUP, what is pending", pending, entries[11:])
        acknowledge(second, pending)

        left = entries[1:4]
        summary = self.pub.xpending(stream, group)
        same("XPENDING", (summary["pending"], summary["consumers"]), (3, [{"name": b"doomed", "pending": 3}]))
        of = self.pub.xpending_range(stream, group, "-", "+", 10, consumername="doomed")
        same("XPENDING with a range", [(e["message_id"], e["times_delivered"]) for e in of], [(entry, 1) for entry, _ in left])
        got = first.xclaim(stream, group, "first", 0, [left[0][0]])
        same("XCLAIM", got, left[:1])
        acknowledge(first, got)
        got = second.xautoclaim(stream, group, "second", 0, count=10)
        same("XAUTOCLAIM", got[:2], [b"0-0", left[1:]])
        acknowledge(second, left[1:])
        same("acknowledged", sorted(acked), sorted(entry for entry, _ in entries))
        counts(0)

        waiting = []
        thread = threading.Thread(target=lambda: waiting.extend(read(first, "first", block=PATIENCE * 1000)))
        thread.start()
        append()
        thread.join(PATIENCE)
        same("XREADGROUP BLOCK", waiting, entries[12:])
        counts(1)
        same("XREVRANGE", self.pub.xrevrange(stream, count=1), entries[12:])
        same("XDEL", self.pub.xdel(stream, entries[0][0], entries[1][0]), 2)
        same("XTRIM", self.pub.xtrim(stream, maxlen=5, approximate=False), 6)
        same("XGROUP SETID", self.pub.xgroup_setid(stream, group, "0"), True)
        same("XREADGROUP behind XGROUP SETID", read(first, "first", count=100), entries[8:])
        same("XGROUP DELCONSUMER", self.pub.xgroup_delconsumer(stream, group, "first"), 5)
        same("XGROUP DESTROY", self.pub.xgroup_destroy(stream, group), True)
        same("DEL", self.pub.delete(stream), 1)


def main():
    host, port, protocol = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["RESP2"])[0]
    pure = "pure" in sys.argv[4:]
    parser = "" if pure or hiredis is None else f", hiredis {hiredis.__version__}"
    report = {"client": "redis-py", "version": redis.__version__ + parser, "protocol": protocol, "checks": [], "ok": True}

    def attempt(name, check):
        if not report["ok"]:
            return
        try:
            check()
            report["checks"].append({"name": name, "ok": True})
        except Exception as err:  # whatever it is, it goes into the report
            report["checks"].append({"name": name, "ok": False, "error": f"{type(err).__name__}: {err}"})
            report["ok"] = False

    s = None

    def connect():
        nonlocal s
        s = Scenario(host, port, protocol, pure)
        s.connect()

    attempt("connect", connect)
    attempt("subscribe", lambda: s.subscribe())
    attempt("PUBLISH counts", lambda: s.counts())
    attempt("a thousand messages", lambda: s.thousand())
    if os.environ.get("CONCH") == "1":
        attempt("a thousand lines", lambda: s.lines())
    else:
        report["checks"].append({"name": "a thousand lines", "ok": True, "skipped": "this server does not speak lines"})
    attempt("ping while subscribed", lambda: s.ping())
    attempt("unsubscribe", lambda: s.unsubscribe())
    attempt("2,000 topics at once", lambda: s.many())
    attempt("killed and back", lambda: s.killed())
    attempt("streams", lambda: s.streams())
    attempt("a group of three consumers, one of which dies", lambda: s.groups())
    print(json.dumps(report))
    sys.exit(0 if report["ok"] else 1)


main()

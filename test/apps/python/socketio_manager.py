#!/usr/bin/env python3
"""python-socketio's RedisManager: one server in each process, and a manager that only emits.

socketio_manager.py HOST PORT VARIANT serve|use [URL]
"""
import json
import os
import signal
import socketserver
import sys
import threading
import time
import wsgiref.simple_server
from importlib.metadata import version

import engineio.payload
import socketio

PATIENCE = 60  # bounds every wait, in seconds; nothing is measured with it
MANY = 100
engineio.payload.Payload.max_decode_packets = 10 * MANY  # of one poll; the library's default is 16


class Failed(Exception):
    pass


def same(what, got, want):
    if got != want:
        raise Failed(f"{what}: got {got!r}, not {want!r}")


def eventually(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {PATIENCE} s")
        time.sleep(0.01)


class WebServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def start(redis):
    """Starts a server of Socket.IO over HTTP, and returns it with its URL."""
    server = socketio.Server(async_mode="threading", client_manager=socketio.RedisManager(redis, channel="apps"))
    server.on("join", lambda sid, room: server.enter_room(sid, room))
    app = socketio.WSGIApp(server)
    http = wsgiref.simple_server.make_server("127.0.0.1", 0, app, server_class=WebServer, handler_class=Quiet)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{http.server_port}"


class Client:
    """A client that keeps what it gets. The library hands each event to a thread of its own: the order is not kept."""

    def __init__(self, url):
        self.lock = threading.Lock()
        self.got = []
        self.probes = set()
        self.io = socketio.Client(reconnection=False, request_timeout=PATIENCE)
        self.io.on("event", self.keep)
        self.io.on("probe", self.probes.add)
        self.io.on("question", lambda text: f"{text} answered")
        self.io.connect(url, transports=["polling"], wait_timeout=PATIENCE)

    def keep(self, value):
        with self.lock:
            self.got.append(value)

    def take(self):
        with self.lock:
            got, self.got = self.got, []
        return sorted(got, key=repr)


def serve(redis):
    _, url = start(redis)
    print("ready", url, flush=True)
    signal.pause()  # until the run ends this process


class Scenario:
    def __init__(self, redis, url):
        self.redis = redis
        self.other = url
        self.emitter = None

    def expect(self, what, *wants):
        eventually(what, lambda: all(len(c.got) >= len(want) for c, want in zip(self.clients, wants)))
        same(what, [c.take() for c in self.clients], [sorted(want, key=repr) for want in wants])

    def reach(self, room, *clients):
        """Waits until what is sent to a room reaches these clients."""
        def probe():
            self.emitter.emit("probe", str(room), room=room)
            return all(str(room) in c.probes for c in clients)
        eventually(f"the clients of {room}", probe)

    def connect(self):
        self.server, url = start(self.redis)
        self.clients = [Client(url), Client(url), Client(self.other), Client(self.other)]
        self.emitter = socketio.RedisManager(self.redis, channel="apps", write_only=True)
        self.reach(None, *self.clients)

    def broadcast(self):
        for i in range(MANY):
            self.server.emit("event", i)
        self.expect("a broadcast", *[list(range(MANY))] * 4)

    def room(self):
        for c in (self.clients[0], self.clients[3]):
            c.io.call("join", "room", timeout=PATIENCE)
        self.reach("room", self.clients[0], self.clients[3])
        self.server.emit("event", {"in": "the room"}, room="room")
        self.server.emit("event", "all")
        both, one = [{"in": "the room"}, "all"], ["all"]
        self.expect("a room", both, one, one, both)

    def write_only(self):
        # No bytes: the library's client hands the two packets of such an event to two threads, and one may overtake the other.
        self.emitter.emit("event", "\x00\r\n\u00e9")
        self.expect("an emitter", *[["\x00\r\n\u00e9"]] * 4)

    def callback(self):
        answers = []
        self.server.emit("question", "why", room=self.clients[3].io.get_sid(), callback=answers.append)
        eventually("the answer of a client of the other server", lambda: answers)
        same("the answer", answers, ["why answered"])

    def close_room(self):
        self.server.close_room("room")
        self.server.emit("event", "nobody", room="room")
        self.server.emit("event", "all")
        self.expect("a closed room", *[["all"]] * 4)

    def disconnect(self):
        self.emitter.disconnect(self.clients[3].io.get_sid())
        eventually("disconnected", lambda: not self.clients[3].io.connected)
        same("connected", [c.io.connected for c in self.clients], [True, True, True, False])


def use(redis, url):
    s = Scenario(redis, url)
    checks = {
        "two servers and an emitter": s.connect, "a broadcast reaches the clients of both": s.broadcast,
        "a room has clients of both": s.room, "an emitter without a server": s.write_only,
        "a client of the other server answers": s.callback, "the other server closes a room": s.close_room,
        "the other server disconnects a client": s.disconnect,
    }
    report = {"version": f"{version('python-socketio')}, redis-py {version('redis')}", "checks": [], "ok": True}
    for name, check in checks.items():
        try:
            check()
            report["checks"].append({"name": name, "ok": True})
        except Exception as err:  # whatever it is, it is the report's
            report["checks"].append({"name": name, "ok": False, "error": f"{type(err).__name__}: {err}"})
            report["ok"] = False
            break
    print(json.dumps(report), flush=True)
    return report["ok"]


def main():
    host, port, _, role, *url = sys.argv[1:]
    redis = f"redis://{host}:{port}/0"
    if role == "serve":
        serve(redis)
    os._exit(0 if use(redis, *url) else 1)  # the library's threads would go on


if __name__ == "__main__":
    main()

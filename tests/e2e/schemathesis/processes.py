"""The processes of the suite: the far side, the server, and a stand-in for one compute host's node."""

import json
import os
import pathlib
import signal
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

# The first start compiles eight components.
READY_WITHIN_S = 120
HOSTS = 600


class Cloud:
    """velum-sim and velumd over a directory of their own. Both end with the `with`."""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="velum-contract-"))
        self.processes = []
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            stop(process)
        logs = os.environ.get("VELUM_LOGS")
        if logs:
            kept = pathlib.Path(logs) / "schemathesis"
            kept.mkdir(parents=True, exist_ok=True)
            for log in self.directory.glob("*.log"):
                (kept / log.name).write_bytes(log.read_bytes())
        subprocess.run(["rm", "-rf", str(self.directory)], check=False)

    def _start(self):
        arguments = ["--listen", "127.0.0.1:0", "--hosts", str(HOSTS), "--zones", "1", "--pools-per-zone", "64"]
        self._spawn("velum-sim", *arguments)
        self.sim = self._line("velum-sim", "velum-sim listening on ")
        self.node = Node(self.directory / "node.sock")
        (self.directory / "velumd.toml").write_text('[log]\nfilter = "info"\n[orphans]\nevery_ms = 300\ngrace_ms = 3000\n[operations]\nattempts_after_pivot = 1\nbackoff_ms = 10\n[plugins]\nunsigned = "allow"\n')
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start_server()

    def start_server(self):
        """Starts velumd, on the data that is there, and waits until it is ready."""
        arguments = ["--config", self.directory / "velumd.toml", "--data", self.directory / "data"]
        arguments += ["--plugins", os.environ["VELUM_PLUGINS"], "--listen", f"127.0.0.1:{self.port}"]
        self.server = self._spawn("velumd", *map(str, arguments))
        began = time.monotonic()
        while not self.is_ready():
            if self.server.poll() is not None or time.monotonic() - began > READY_WITHIN_S:
                raise RuntimeError("velumd does not come up:\n" + self.log("velumd")[-4000:])
            time.sleep(0.05)
        self.token = (self.directory / "data" / "admin.token").read_text().strip()

    def restart_server(self):
        """Stops velumd in order, and starts it again: at start it audits its books."""
        stop(self.server)
        self.processes.remove(self.server)
        before = len(self.log("velumd"))
        self.start_server()
        return self.log("velumd")[before:]

    def is_ready(self):
        """Whether the server says so."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def log(self, name):
        """What a process printed."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def audit(self):
        """What the far side knows."""
        with urllib.request.urlopen(f"{self.sim}/sim/audit", timeout=30) as answer:
            return json.load(answer)

    def _spawn(self, name, *arguments):
        program = pathlib.Path(os.environ["VELUM_BIN"]) / name
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def _line(self, name, prefix):
        for _ in range(400):
            for line in self.log(name).splitlines():
                if line.startswith(prefix):
                    return line.removeprefix(prefix).strip()
            time.sleep(0.05)
        raise RuntimeError(f"{name} does not come up:\n{self.log(name)}")


def stop(process):
    """Asks a process to end, then ends it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """As much of velum-node as a simulated compute host needs for its console log: simulated hosts have no machine that a
    real one could run on. It agrees to every order, and has one line of log for every run."""

    LOG = b"a simulated guest was here\n"

    def __init__(self, path):
        self.address = f"unix:{path}"
        server = socketserver.ThreadingUnixStreamServer(str(path), _Connection)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()


class _Connection(socketserver.StreamRequestHandler):
    """One connection of the server: a greeting, then frames of two lengths, a head and a body (host/connector)."""

    def handle(self):
        self._write({"protocol": 2, "boot_id": "one", "version": "0", "hostname": "stand-in"})
        while (lengths := self.rfile.read(8)) and len(lengths) == 8:
            head, body = struct.unpack(">II", lengths)
            request = json.loads(self.rfile.read(head))
            self.rfile.read(body)
            verb = request["verb"]
            name, ask = next(iter(verb.items())) if isinstance(verb, dict) else (verb, None)
            answer, bulk = None, b""
            if name == "link-ensure":
                answer = ask["link"]["name"]
            elif name == "seed-write":
                answer = "/stand-in/seed"
            elif name == "links":
                answer = []
            elif name == "console-log":
                bulk = Node.LOG
            self._write({"id": request["id"], "result": {"Ok": answer}}, bulk)

    def _write(self, message, body=b""):
        head = json.dumps(message).encode()
        self.wfile.write(struct.pack(">II", len(head), len(body)) + head + body)
        self.wfile.flush()

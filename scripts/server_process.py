"""A `thalweg server` as a child process, for the scripts here; standard library only.

Asks nothing of the machine: its own data folder, a free port, and an end with the script.
"""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

START_LIMIT_SECONDS = 60


def binary():
    """The program to run: $THALWEG, else the release build of this checkout, else its debug build."""
    if "THALWEG" in os.environ:
        return os.environ["THALWEG"]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", cache / "thalweg" / "target"))
    for profile in ("release", "debug"):
        if (target / profile / "thalweg").exists():
            return str(target / profile / "thalweg")
    sys.exit(f"no thalweg in {target}: build it ('cargo build --release'), or name it in THALWEG")


class Server:
    """A running server; `seconds_to_start` counts from before its process exists to its first answer."""

    def __init__(self, folder, **settings):
        folder = pathlib.Path(folder)
        command = [binary(), "server", "--listen", "127.0.0.1:0", "--data-dir", str(folder)]
        for name, value in settings.items():
            command += ["--set", f"{name.replace('__', '.')}={value}"]
        self.errors = folder.with_suffix(".server.log")
        began = time.monotonic()
        with open(self.errors, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        if "http://" not in line:
            sys.exit(f"the server did not start: {self.errors.read_text()}")
        self.address = line.split("http://")[1].split(",")[0].strip()
        while self.request("GET", "/info")[0] != 200:
            if time.monotonic() - began > START_LIMIT_SECONDS:
                sys.exit("the server does not answer /info")
        self.seconds_to_start = time.monotonic() - began
        self.pid = self.process.pid
        self.url = f"http://{self.address}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    def stop(self):
        """Ends the server in order."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            sys.exit(f"SIGTERM ended the server with {self.process.returncode}: {self.errors.read_text()}")

    def kill(self):
        """Ends it as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def request(self, method, path, body=None):
        """Status and text of the answer."""
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, body if body is None else json.dumps(body).encode())
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def open(self, path, body):
        """A request whose answer is read while it arrives, as a file of lines."""
        connection = http.client.HTTPConnection(self.address)
        connection.request("POST", path, json.dumps(body).encode())
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit(f"{body}\n{answer.read().decode()}")
        return answer

    def sql(self, text, **properties):
        """Runs statements; the answer's entities."""
        properties = {name.replace("__", "."): value for name, value in properties.items()}
        status, answer = self.request("POST", "/ksql", {"ksql": text, "streamsProperties": properties})
        if status != 200:
            sys.exit(f"{text}\n{answer}")
        return json.loads(answer)

    def rows(self, select):
        """Rows of a query that ends by itself, each a list."""
        body = {"sql": select, "properties": {"auto.offset.reset": "earliest"}}
        status, answer = self.request("POST", "/query-stream", body)
        if status != 200:
            sys.exit(f"{select}\n{answer}")
        return [json.loads(line) for line in answer.splitlines()[1:] if line]

    def metric(self, name, query):
        """A metric of a query; 0 as long as there is none."""
        wanted = f'thalweg_query_{name}{{query_id="{query}"}}'
        for line in self.request("GET", "/metrics")[1].splitlines():
            if line.startswith(wanted):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def memory(self):
        """Resident megabytes (10^6 bytes), and number of threads."""
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) * 1024 / 1e6, int(status["Threads"])

    def cpu_seconds(self, thread=""):
        """CPU time so far of the threads whose names begin so; of the whole process, threads that are over too, without."""
        if not thread:
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        spent = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                if (task / "comm").read_text().startswith(thread):
                    spent += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError:
                continue
        return spent / 1e9

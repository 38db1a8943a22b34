"""Many who search at once while somebody mixes: how long `find` takes over HTTP, and what fails.

    python tests/benchmarks/service.py --library=DB --music=FOLDER [--clients=50 --seconds=60]
        [--made=0]

Each client asks for the partners of a random part, reads for a second, and asks again; a mix of two
songs of the folder runs all the time. --made adds so many made songs of 30 segments (`find.py`) to
a copy of the library. Prints JSON; times in milliseconds, "cpu" of the server for each answer.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from find import MADE, fill

from mashjax.library.database import open_library

MOST_SONGS = 500  # whose parts are asked for


def ask(port: int, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, sent, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True)
    parser.add_argument("--music", required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--made", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = shutil.copy(options.library, pathlib.Path(folder, "served.library"))
        with contextlib.closing(open_library(library)) as opened:
            fill(opened, songs=options.made)
        command = [sys.executable, "-m", "mashjax.serve", "--port=0"]
        command += [f"--library={library}", f"--music={options.music}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stdout.readline().rpartition(":")[2])
                found = measure(port, server.pid, options.clients, options.seconds)
                print(json.dumps(found, indent=1))
            finally:
                server.terminate()


def cpu_seconds(pid: int) -> float:
    """Of a process, without its children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parts_of(port: int, song: dict) -> list[tuple[str, int]]:
    found = ask(port, "GET", f"/api/songs/{song['id']}")[1]["parts"]
    return [(song["id"], part["number"]) for part in found]


def measure(port: int, pid: int, clients: int, seconds: float) -> dict:
    songs = ask(port, "GET", f"/api/songs?most={MOST_SONGS}")[1]["songs"]
    asked = random.Random(0).sample(songs, min(len(songs), 2 * clients))
    parts = [part for song in asked for part in parts_of(port, song)]
    mixed = [song for song in songs if song["folder"] != MADE]
    real = [{"song": id, "part": n} for song in mixed for id, n in parts_of(port, song)]
    ask(port, "GET", f"/api/songs/{parts[0][0]}/parts/{parts[0][1]}/partners")  # reads the sketches
    cpu = cpu_seconds(pid)
    times: list[float] = []
    statuses: collections.Counter = collections.Counter()
    mixes: collections.Counter = collections.Counter()
    until = time.monotonic() + seconds

    def search(seed: int) -> None:
        rng = random.Random(seed)
        time.sleep(rng.random())
        while time.monotonic() < until:
            song, part = rng.choice(parts)
            begun = time.monotonic()
            status, _ = ask(port, "GET", f"/api/songs/{song}/parts/{part}/partners")
            times.append(time.monotonic() - begun)
            statuses[status] += 1
            time.sleep(1)

    def mix() -> None:
        while time.monotonic() < until:
            pair = dict(zip(("query", "partner"), random.sample(real, 2), strict=True))
            status, job = ask(port, "POST", "/api/mixes", {**pair, "role": "lead"})
            if status == 409:  # they do not go together
                continue
            while time.monotonic() < until and job["state"] in ("waiting", "running"):
                time.sleep(0.5)
                _, job = ask(port, "GET", f"/api/jobs/{job['id']}")
            mixes[job["state"]] += 1

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(clients)]
    threads.append(threading.Thread(target=mix))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p95 = (round(1000 * q) for q in np.quantile(times, (0.5, 0.95)))
    return {
        "asked": len(times),
        "statuses": statuses,
        "mixes": mixes,
        "p50": p50,
        "p95": p95,
        "slowest": round(1000 * max(times)),
        "cpu": round(1000 * (cpu_seconds(pid) - cpu) / len(times), 1),
    }


if __name__ == "__main__":
    main()

"""Many who search at once while somebody mixes: how long `find` takes over HTTP, and what fails.

    python tests/benchmarks/service.py --library=DB --music=FOLDER [--clients=50 --seconds=60]

Each client asks for the partners of a random part, reads for a second, and asks again; a mix runs
all the time. Prints JSON; times in milliseconds.
"""

import argparse
import collections
import http.client
import json
import random
import subprocess
import sys
import threading
import time

import numpy as np

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
    options = parser.parse_args()
    command = [sys.executable, "-m", "mashjax.serve", "--port=0"]
    command += [f"--library={options.library}", f"--music={options.music}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            print(json.dumps(measure(port, options.clients, options.seconds), indent=1))
        finally:
            server.terminate()


def measure(port: int, clients: int, seconds: float) -> dict:
    songs = ask(port, "GET", f"/api/songs?most={MOST_SONGS}")[1]["songs"]
    parts = []
    for song in random.Random(0).sample(songs, min(len(songs), clients)):
        found = ask(port, "GET", f"/api/songs/{song['id']}")[1]["parts"]
        parts += [(song["id"], part["number"]) for part in found]
    ask(port, "GET", f"/api/songs/{parts[0][0]}/parts/{parts[0][1]}/partners")  # reads the sketches
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
            song, part = random.choice(parts)
            best = ask(port, "GET", f"/api/songs/{song}/parts/{part}/partners")[1]["partners"]
            if not best:
                continue
            partner = {"song": best[0]["song"], "part": best[0]["part"]["number"]}
            pair = {"query": {"song": song, "part": part}, "partner": partner}
            _, job = ask(port, "POST", "/api/mixes", {**pair, "role": best[0]["role"]})
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
    }


if __name__ == "__main__":
    main()

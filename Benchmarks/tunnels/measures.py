# SPDX-License-Identifier: Apache-2.0
"""What is measured of each tunnel. Each function returns values by name and raises Failure when it has none."""

import json
import os
import re
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass

from hosts import Failure, wait_for

PORT = 5201
PAYLOAD = 1372
# Offered rates, Mbit/s: a search goes through them by halves.
LADDER = [100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 700, 800, 900, 1000, 1100, 1200, 1300, 1400, 1500,
          1600, 1800, 2000, 2200, 2400, 2600, 2800, 3000, 3300, 3600, 4000, 4500, 5000, 6000, 7000, 8000]


@dataclass(frozen=True)
class Value:
    """One figure: how tables call it."""

    key: str
    title: str
    unit: str
    digits: int = 0


VALUES = [
    Value("stream", "TCP, one stream", "Gbit/s", 2),
    Value("stream4", "four streams", "Gbit/s", 2),
    Value("reverse", "reverse", "Gbit/s", 2),
    Value("cpu", "processor", "s/GB", 2),
    Value("rss", "memory, larger daemon", "MiB", 1),
    Value("start", "start", "ms"),
    Value("udp", "UDP, under 1 % loss", "Mbit/s"),
    Value("udp_flood", "UDP flooded, goodput", "Mbit/s"),
    Value("rtt_idle_p50", "idle p50", "µs"),
    Value("rtt_idle_p99", "idle p99", "µs"),
    Value("rtt_load_p50", "loaded p50", "µs"),
    Value("rtt_load_p99", "loaded p99", "µs"),
    Value("rtt_flood", "flood ping", "µs"),
]


# --- Processes -------------------------------------------------------------------------------------------------------

def processor_seconds(tunnel):
    """User and system time of the tunnel's processes so far."""
    total = 0
    for process in tunnel.processes:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            # Behind the command's name in brackets: field 3 and on; utime and stime are 14 and 15.
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident_mib(tunnel):
    """The larger process's resident memory."""
    largest = 0
    for process in tunnel.processes:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            largest = max(largest, int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.M)[1]))
    return largest / 1024


class Watch:
    """Samples resident memory while a test runs, and keeps the highest."""

    def __init__(self, tunnel):
        self.tunnel = tunnel
        self.highest = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        while not self.done.wait(0.2):
            try:
                self.highest = max(self.highest, resident_mib(self.tunnel))
            except (OSError, TypeError):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


# --- iperf3 ----------------------------------------------------------------------------------------------------------

class Transfer:
    """One iperf3 run from left to right: a server that serves once, and its client."""

    def __init__(self, tunnel, seconds, *options):
        self.hosts = tunnel.hosts
        self.address = tunnel.address(self.hosts.right)
        self.seconds = seconds
        self.options = options
        self.server = None
        self.client = None

    def __enter__(self):
        left, right = self.hosts
        self.server = right.spawn("iperf3", "--server", "--one-off", "--json", "--bind", self.address, "--port", PORT,
                                  output=subprocess.PIPE, errors=subprocess.STDOUT)
        wait_for("iperf3's server", lambda: right.listens(PORT), 5)
        self.client = left.spawn("iperf3", "--client", self.address, "--port", PORT, "--json", "--time",
                                 str(self.seconds), *map(str, self.options),
                                 output=subprocess.PIPE, errors=subprocess.STDOUT)
        return self

    def _result(self, process, name, patience):
        try:
            text = process.communicate(timeout=patience)[0]
        except subprocess.TimeoutExpired:
            raise Failure(f"iperf3's {name} took more than {patience:.0f} s") from None
        try:
            result = json.loads(text[text.index("{"):])
        except ValueError:
            raise Failure(f"iperf3's {name} gave no result: {text.strip()[-200:]}") from None
        if "error" in result:
            raise Failure(f"iperf3's {name}: {result['error']}")
        return result

    def results(self):
        """What client and server say at the end."""
        client = self._result(self.client, "client", self.seconds + 15)
        return client, self._result(self.server, "server", 5)

    def __exit__(self, *_):
        for process in (self.client, self.server):
            if process:
                process.kill()
                process.wait()
                process.stdout.close()


def tcp(tunnel, seconds, *options):
    """Gbit/s that arrived, and the bytes."""
    with Transfer(tunnel, seconds, "--congestion", "cubic", *options) as transfer:
        end = transfer.results()[0]["end"]["sum_received"]
    if not end["bytes"]:
        raise Failure("iperf3: nothing arrived")
    return end["bits_per_second"] / 1e9, end["bytes"]


def window():
    """A socket buffer for iperf3 as large as the system grants, 2 MiB at most: its own shall not be the first to
    overflow."""
    def limit(name):
        with open(f"/proc/sys/net/core/{name}_max", encoding="ascii") as file:
            return int(file.read())

    return min(2 << 20, limit("rmem"), limit("wmem"))


def udp(tunnel, seconds, rate):
    """Offers Mbit/s (0: as many as the sender can) and returns what was sent, what arrived, and the part lost."""
    with Transfer(tunnel, seconds, "--udp", "--length", PAYLOAD, "--bitrate", f"{rate}M", "--window",
                  window()) as transfer:
        client, server = transfer.results()
    sent = client["end"]["sum"]
    took = sent["seconds"]
    arrived = sum(interval["sum"]["bytes"] for interval in server["intervals"])
    if not sent["bytes"]:
        raise Failure("iperf3: nothing was sent")
    return sent["bytes"] * 8e-6 / took, arrived * 8e-6 / took, max(0.0, 1 - arrived / sent["bytes"])


# --- Measures --------------------------------------------------------------------------------------------------------

def start(tunnel):
    """From starting it until the first answer to a ping."""
    left, right = tunnel.hosts
    began = time.monotonic()
    tunnel.up()

    def answers():
        tunnel.check()
        return left.works("ping", "-n", "-q", "-c", "1", "-i", "0.005", "-w", "2", tunnel.address(right))

    wait_for("an answer to a ping", answers, 15)
    return {"start": (time.monotonic() - began) * 1000}


def stream(tunnel, seconds):
    before = processor_seconds(tunnel)
    with Watch(tunnel) as watch:
        rate, transferred = tcp(tunnel, seconds)
    result = {"stream": rate}
    if tunnel.has_processes:
        result["cpu"] = (processor_seconds(tunnel) - before) / (transferred / 1e9)
        result["rss"] = watch.highest
    return result


def stream4(tunnel, seconds):
    return {"stream4": tcp(tunnel, seconds, "--parallel", "4")[0]}


def reverse(tunnel, seconds):
    return {"reverse": tcp(tunnel, seconds, "--reverse")[0]}


def udp_best(tunnel, seconds):
    """The highest rate of the ladder that arrives but for 1 %, each tried twice at most. Where the sender can't offer
    a rate, what it could is taken."""
    each = max(1, seconds // 2)
    low, high = -1, len(LADDER)
    best, is_limited = 0.0, False
    while high - low > 1:
        middle = (low + high) // 2
        for _ in range(2):
            offered, _, lost = udp(tunnel, each, LADDER[middle])
            if lost < 0.01:
                break
        if lost < 0.01:
            best = max(best, min(offered, LADDER[middle]))
            low = middle
            if offered < 0.97 * LADDER[middle]:
                is_limited = True
                break
        else:
            high = middle
    return {"udp": best, "udp_sender_limited": int(is_limited)}


def udp_flood(tunnel, seconds):
    _, arrived, lost = udp(tunnel, seconds, 0)
    return {"udp_flood": arrived, "udp_flood_loss": lost * 100}


def _round_trips(tunnel, seconds):
    """Microseconds of pings sent each 2 ms."""
    left, right = tunnel.hosts
    count = int(seconds * 500)
    text = left.run("ping", "-n", "-i", "0.002", "-c", count, "-W", "1", tunnel.address(right), timeout=seconds * 4 + 5)
    times = sorted(float(time) * 1000 for time in re.findall(r"time=([\d.]+) ms", text))
    if len(times) < count / 2:
        raise Failure(f"ping: {len(times)} answers to {count} requests")
    return times


def _percentiles(name, times):
    return {f"{name}_p50": statistics.median(times), f"{name}_p99": times[int(len(times) * 0.99)]}


def rtt_idle(tunnel, seconds):
    return _percentiles("rtt_idle", _round_trips(tunnel, min(seconds, 3)))


def rtt_load(tunnel, seconds):
    """Round trips while one TCP stream runs as fast as it can."""
    seconds = min(seconds, 3)
    with Transfer(tunnel, seconds * 4 + 10, "--congestion", "cubic"):
        time.sleep(1)
        return _percentiles("rtt_load", _round_trips(tunnel, seconds))


def rtt_flood(tunnel, seconds):
    """The mean round trip of a flood ping: the next request follows the answer."""
    left, right = tunnel.hosts
    text = left.run("ping", "-f", "-q", "-n", "-w", min(seconds, 3), tunnel.address(right), timeout=seconds + 10)
    found = re.search(r"= [\d.]+/([\d.]+)/", text)
    if not found:
        raise Failure("ping: no answers")
    return {"rtt_flood": float(found[1]) * 1000}


# In the order in which they are taken; "start" comes before all.
MEASURES = {
    "stream": stream, "stream4": stream4, "reverse": reverse, "rtt_idle": rtt_idle, "rtt_flood": rtt_flood,
    "rtt_load": rtt_load, "udp": udp_best, "udp_flood": udp_flood,
}
# What each yields, to say that it failed.
YIELDS = {
    "start": ["start"], "stream": ["stream", "cpu", "rss"], "rtt_idle": ["rtt_idle_p50", "rtt_idle_p99"],
    "rtt_load": ["rtt_load_p50", "rtt_load_p99"],
}

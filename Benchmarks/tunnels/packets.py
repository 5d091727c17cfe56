# SPDX-License-Identifier: Apache-2.0
"""Packets per second through one host, from its overlay to its underlay. scripts/bench-packets.sh starts it."""

import os
import re
import statistics
import sys
import time

from hosts import Failure, Host, run, wait_for

SIZES = (64, 1400)


class Router:
    """One way from the overlay of `left` to its underlay: frames that leave it are counted on `right`."""

    def __init__(self, title, command, device, header):
        self.title = title
        self.command = command
        self.device = device
        self.header = header
        self.rates = {size: [] for size in SIZES}
        self.times = {size: [] for size in SIZES}


class Bench:
    def __init__(self, tools):
        self.tools = tools
        self.rounds = int(os.environ.get("ROUNDS", "3"))
        self.seconds = int(os.environ.get("SECONDS_PER_TEST", "3"))
        self.left, self.right = Host("left", 1), Host("right", 2)

    def make(self):
        run(["mount", "-t", "tmpfs", "weft-bench", "/run"])
        os.makedirs("/run/netns")
        for host in (self.left, self.right):
            run(["ip", "netns", "add", host.namespace])
            host.run("ip", "link", "set", "lo", "up")
        run(["ip", "link", "add", "name", "underlay", "address", "02:00:00:00:00:01", "netns", self.left.namespace,
             "type", "veth", "peer", "name", "underlay", "address", "02:00:00:00:00:02",
             "netns", self.right.namespace])
        for host in (self.left, self.right):
            host.run("ethtool", "-K", "underlay", "tso", "off", "gso", "off", "tx", "off")
            host.run("ip", "link", "set", "underlay", "up", "addrgenmode", "none")
        # The right one has no address: what arrives is counted, and dropped.
        self.left.run("ip", "address", "add", "192.0.2.1/30", "dev", "underlay")
        self.left.run("ip", "neighbour", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "nud", "permanent",
                      "dev", "underlay")

    def close(self):
        for host in (self.left, self.right):
            run(["ip", "netns", "delete", host.namespace])

    def arrived(self):
        text = self.right.run("ip", "-s", "link", "show", "underlay")
        return int(re.search(r"RX:.*\n\s*\d+\s+(\d+)", text)[1])

    def measure(self, router, size):
        """One run of a router: packets per second, and its processor seconds for a million."""
        if router.command[0] == self.tools["bridge"]:
            self.left.run("ip", "link", "add", "name", "overlay", "type", "veth", "peer", "name", "overlay-x")
            for device in ("overlay", "overlay-x"):
                self.left.run("ethtool", "-K", device, "tso", "off", "tx", "off")
                self.left.run("ip", "link", "set", device, "up", "addrgenmode", "none")
        process = self.left.spawn(*router.command, errors=sys.stderr)
        try:
            wait_for(router.device, lambda: process.poll() is not None or
                     self.left.works("ip", "link", "show", "dev", router.device, "up"))
            time.sleep(0.5)
            before, used, began = self.arrived(), self.processor(process), time.monotonic()
            self.left.run(self.tools["flood"], router.device, router.header, size, self.seconds,
                          timeout=self.seconds + 10)
            count, took = self.arrived() - before, time.monotonic() - began
            used = self.processor(process) - used
        finally:
            process.terminate()
            process.wait(5)
            if router.command[0] == self.tools["bridge"]:
                self.left.run("ip", "link", "delete", "overlay")
        if count < 1000:
            raise Failure(f"{router.title}: only {count} packets arrived")
        router.rates[size].append(count / took)
        router.times[size].append(used / count * 1e6)
        print(f"{router.title:26} {size:5} B {count / took / 1000:8.0f} k/s {used / count * 1e6:6.2f} s/million",
              file=sys.stderr, flush=True)

    @staticmethod
    def processor(process):
        """Seconds of a process; its own, since nsenter and setpriv have become it."""
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self):
        def weft(cipher, driver):
            return [self.tools["weft-bench-tunnel"], "bench0", "10.77.0.1/24", 6081, "192.0.2.2:6081", "10.77.0.0/24",
                    "left", cipher, driver]

        routers = [
            Router("C bridge over AF_XDP", [self.tools["bridge"], "overlay-x", "underlay"], "overlay", "ethernet"),
            Router("Weft AF_XDP, no cipher", weft("none", "xdp"), "bench0", "ethernet"),
            Router("Weft AF_XDP", weft("automatic", "xdp"), "bench0", "ethernet"),
            Router("Weft TUN", weft("automatic", "tun"), "bench0", "ip"),
        ]
        for _ in range(self.rounds):
            for size in SIZES:
                for router in routers:
                    self.measure(router, size)
        print("| from overlay to underlay | " + " | ".join(
            f"{size} B, k packets/s | of the bridge | s/million" for size in SIZES) + " |")
        print("| --- |" + " --- |" * (3 * len(SIZES)))
        for router in routers:
            cells = []
            for size in SIZES:
                # Within a round, since machines drift.
                ratio = statistics.median(a / b for a, b in zip(router.rates[size], routers[0].rates[size]))
                cells += [f"{statistics.median(router.rates[size]) / 1000:.0f}", f"{ratio * 100:.0f} %",
                          f"{statistics.median(router.times[size]):.2f}"]
            print(f"| {router.title} | " + " | ".join(cells) + " |")
        print(f"\n{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, medians of {self.rounds} rounds of "
              f"{self.seconds} s; sizes are the inner IP packets'.")


def main():
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.path.join(here, "Benchmarks", ".build")
    bench = Bench({
        "bridge": os.path.join(build, "bridge"), "flood": os.path.join(build, "flood"),
        "weft-bench-tunnel": os.path.join(build, "release", "weft-bench-tunnel"),
    })
    try:
        bench.make()
        try:
            bench.run()
        finally:
            bench.close()
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

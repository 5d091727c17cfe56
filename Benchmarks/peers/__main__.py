# SPDX-License-Identifier: Apache-2.0
"""Measures what many peers in one file cost; see scripts/bench-peers.sh."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PEERS, ROUNDS, SECONDS = (int(os.environ[name]) for name in ("PEERS", "ROUNDS", "SECONDS_PER_TEST"))
WEFT, PLAYER = os.environ["WEFT"], os.environ["PLAYER"]
HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIRST_PORT = 20000
LEFT, RIGHT = f"weft-peers-left-{os.getpid()}", f"weft-peers-right-{os.getpid()}"
CASES = ["one", "unreachable", "idle"]


def run(*command, check=True, **options):
    return subprocess.run(command, check=check, text=True, capture_output=True, **options).stdout


def inside(host, *command):
    return ["ip", "netns", "exec", host, *command]


class Bench:
    def __init__(self):
        self.folder = tempfile.mkdtemp()
        self.children = []
        self.samples = {case: {} for case in CASES}

    # Hosts and files

    def start(self, host, *command):
        child = subprocess.Popen(inside(host, *command), stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def weft(self, host, *command):
        os.makedirs(f"{self.folder}/{host}", exist_ok=True)
        return run(*inside(host, "env", f"WEFT_RUNTIME_DIRECTORY={self.folder}/{host}", WEFT, *command))

    def key(self, name):
        run(WEFT, "genkey", f"{self.folder}/{name}.key")
        return run(WEFT, "pubkey", f"{self.folder}/{name}.key").strip()

    def write(self, name, number, key, peers):
        text = f"[Interface]\nAddress = 10.7.0.{number}/32\nMTU = 1400\nPrivateKeyFile = {key}.key\n"
        for public, endpoint, address in peers:
            text += f"[Peer]\nPublicKey = {public}\nEndpoint = {endpoint}\nAllowedIPs = {address}/32\n"
        with open(f"{self.folder}/{name}.conf", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(text)

    def prepare(self):
        for host in (LEFT, RIGHT):
            run("ip", "netns", "add", host)
            run("ip", "-n", host, "link", "set", "lo", "up")
        run("ip", "-n", LEFT, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", RIGHT)
        for host, number in ((LEFT, 1), (RIGHT, 2)):
            run("ip", "-n", host, "link", "set", "eth0", "addrgenmode", "none", "up")
            run("ip", "-n", host, "address", "add", f"192.0.2.{number}/30", "dev", "eth0")
        left, right = self.key("left"), self.key("right")
        player = self.start(RIGHT, PLAYER, left, str(PEERS - 1), str(FIRST_PORT))
        others = [
            (player.stdout.readline().strip(), f"192.0.2.2:{FIRST_PORT + index}", f"10.9.{index // 250}.{index % 250 + 1}")
            for index in range(PEERS - 1)
        ]
        real = (right, "192.0.2.2:6081", "10.7.0.2")
        # The real peer stands amid the others.
        middle = len(others) // 2
        self.write("one", 1, "left", [real])
        self.write("many", 1, "left", others[:middle] + [real] + others[middle:])
        self.write("right", 2, "right", [(left, "192.0.2.1:6081", "10.7.0.1")])
        run(*inside(RIGHT, "nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }"))
        self.weft(RIGHT, "up", "--detach", f"{self.folder}/right.conf")
        self.start(RIGHT, "iperf3", "-s")

    def end(self):
        for host, name in ((LEFT, "one"), (LEFT, "many"), (RIGHT, "right")):
            subprocess.run(
                inside(host, "env", f"WEFT_RUNTIME_DIRECTORY={self.folder}/{host}", WEFT, "down", name),
                capture_output=True, check=False)
        for child in self.children:
            child.kill()
            child.wait()
        for host in (LEFT, RIGHT):
            subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)
        shutil.rmtree(self.folder)

    # Measures

    def status(self, name):
        return json.loads(self.weft(LEFT, "show", name, "--json"))[0]

    def wait(self, what, condition, limit):
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"bench-peers: waited {limit} s for {what}, in vain")
            time.sleep(0.1)

    def processor(self, process, moves_data=False):
        """Seconds that a daemon's threads took, or those alone that move data."""
        spent = 0
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/comm", encoding="ascii") as file:
                if moves_data and file.read().strip() not in ("weft-tx", "weft-rx"):
                    continue
            with open(f"/proc/{process}/task/{thread}/schedstat", encoding="ascii") as file:
                spent += int(file.read().split()[0])
        return spent / 1e9

    def memory(self, process):
        with open(f"/proc/{process}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024

    def note(self, case, measure, value):
        self.samples[case].setdefault(measure, []).append(value)

    def traffic(self, case, name, process, measure, *options):
        """Processor time of the measured daemon for each packet that it sealed or opened."""
        def packets():
            totals = self.status(name)["totals"]
            return totals["rx"]["packets"] + totals["tx"]["packets"]

        packets_before = packets()
        before = [self.processor(process, moves_data) for moves_data in (True, False)]
        text = run(*inside(LEFT, "iperf3", "-c", "10.7.0.2", "-t", str(SECONDS), "-J", *options), check=False)
        after = [self.processor(process, moves_data) for moves_data in (True, False)]
        count = packets() - packets_before
        report = json.loads(text)
        if "error" in report:
            raise SystemExit(f"bench-peers: iperf3: {report['error']}")
        for key, begin, end in zip((measure, measure + "_all"), before, after):
            self.note(case, key, (end - begin) / count * 1e9)
        return report["end"]

    def round(self, case):
        name = "one" if case == "one" else "many"
        if case == "unreachable":
            ports = f"{FIRST_PORT}-{FIRST_PORT + PEERS - 2}"
            run(*inside(RIGHT, "nft", f"add rule inet wall in udp dport {ports} drop"))
        began = time.monotonic()
        self.weft(LEFT, "up", "--detach", f"{self.folder}/{name}.conf")
        self.note(case, "start", (time.monotonic() - began) * 1e3)
        process = self.status(name)["processID"]
        wanted = PEERS if case == "idle" else 1

        def connected():
            return sum((peer["agreement"] or {}).get("state") == "connected" for peer in self.status(name)["peers"]) >= wanted

        self.wait(f"{wanted} sessions", connected, 120)
        self.note(case, "sessions", (time.monotonic() - began) * 1e3)
        # What comes up at the start is no part of the rest.
        time.sleep(10)
        before, since = self.processor(process), time.monotonic()
        time.sleep(8)
        self.note(case, "idle", (self.processor(process) - before) / (time.monotonic() - since) * 100)
        self.note(case, "memory", self.memory(process))
        for measure, options in (("show", []), ("json", ["--json"])):
            since = time.monotonic()
            self.weft(LEFT, "show", name, *options)
            self.note(case, measure, (time.monotonic() - since) * 1e3)
        end = self.traffic(case, name, process, "tcp", "-C", "cubic")
        self.note(case, "gigabits", end["sum_received"]["bits_per_second"] / 1e9)
        self.traffic(case, name, process, "udp", "-u", "-l", "64", "-b", "15M")
        self.weft(LEFT, "down", name)
        run(*inside(RIGHT, "nft", "flush chain inet wall in"))

    # The table

    def table(self):
        many = f"{PEERS:,}"
        titles = ["one peer", f"{many} peers, {PEERS - 1:,} out of reach", f"{many} peers, {PEERS - 1:,} idle sessions"]
        rows = [
            ("start", "`weft up --detach` to its return, ms", 0),
            ("sessions", "until all sessions that can be are up, ms", 0),
            ("memory", "resident memory, MiB", 1),
            ("show", "`weft show`, ms", 0),
            ("json", "`weft show --json`, ms", 0),
            ("idle", "processor of the idle daemon, % of a core", 2),
            ("gigabits", "one TCP stream, Gbit/s", 2),
            ("tcp", "processor of the threads that move data, for each packet of it, ns", 0),
            ("tcp_all", "processor of the whole daemon, for each packet of it, ns", 0),
            ("udp", "processor of the threads that move data, for each UDP packet of 64 bytes, ns", 0),
            ("udp_all", "processor of the whole daemon, for each UDP packet of 64 bytes, ns", 0),
        ]
        lines = ["| | " + " | ".join(titles) + " |", "| --- " * 4 + "|"]
        for measure, title, digits in rows:
            values = [f"{statistics.median(self.samples[case][measure]):,.{digits}f}" for case in CASES]
            lines.append(f"| {title} | " + " | ".join(values) + " |")
        lines += ["", "| What it must show | wanted | found | met |", "| --- | --- | --- | --- |"]
        for measure, title in (
            ("tcp", "a TCP stream's packet"), ("tcp_all", "the same, whole daemon"), ("udp", "a UDP packet"),
            ("udp_all", "the same, whole daemon"),
        ):
            for case, words in (("unreachable", "the others out of reach"), ("idle", "the others idle")):
                # Round by round, since the machine's speed drifts.
                ratio = statistics.median(
                    many / one for many, one in zip(self.samples[case][measure], self.samples["one"][measure]))
                met = "yes" if ratio <= 1.2 else "**no**"
                lines.append(f"| Processor for {title}, of one peer's; {words} | ≤ 1.2 | {ratio:.2f} | {met} |")
        load = ", ".join(f"{value:.1f}" for value in self.loads)
        lines += ["", f"- Medians of {ROUNDS} rounds, in each of which the cases come in turn; {SECONDS} s a stream.",
                  f"- The machine's load at the start of each round was {load}."]
        return "\n".join(lines) + "\n"

    def measure(self):
        self.loads = []
        try:
            self.prepare()
            for number in range(ROUNDS):
                self.loads.append(os.getloadavg()[0])
                for case in CASES:
                    self.round(case)
                    print(f"round {number + 1}, {case}: " + ", ".join(
                        f"{measure} {values[-1]:.1f}" for measure, values in self.samples[case].items()), file=sys.stderr)
        finally:
            self.end()
        os.makedirs(f"{HERE}/Benchmarks/results", exist_ok=True)
        with open(f"{HERE}/Benchmarks/results/peers.md", "w", encoding="utf-8") as file:
            file.write(self.table())
        print(self.table(), end="")


def stop(number, _):
    raise SystemExit(128 + number)


for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
Bench().measure()

# SPDX-License-Identifier: Apache-2.0
"""Measures Weft beside other tunnels. scripts/bench.sh starts it, in mounts of its own."""

import json
import os
import platform
import re
import signal
import sys
import time

import measures
import report
import tunnels
from hosts import PROFILES, Failure, Hosts, run

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS = os.path.join(HERE, "Benchmarks", "results")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Settings:
    """What the environment asks for."""

    def __init__(self):
        self.rounds = self._number("ROUNDS", 5)
        self.seconds = self._number("SECONDS_PER_TEST", 4)
        self.underlay = os.environ.get("UNDERLAY", "plain")
        if self.underlay not in PROFILES:
            raise Failure(f"UNDERLAY={self.underlay}: choose one of {', '.join(PROFILES)}")
        self.tunnels = self._choose("ONLY", [kind.key for kind in tunnels.ALL])
        self.measures = self._choose("MEASURES", list(measures.MEASURES))

    @staticmethod
    def _number(name, default):
        text = os.environ.get(name, str(default))
        if not re.fullmatch("[1-9][0-9]*", text):
            raise Failure(f"{name}={text}: expected a whole number above 0")
        return int(text)

    @staticmethod
    def _choose(name, known):
        chosen = [word for word in os.environ.get(name, "").split(",") if word]
        for word in chosen:
            if word not in known:
                raise Failure(f"{name}: {word} is unknown; choose from {','.join(known)}")
        return [word for word in known if word in chosen] if chosen else known


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = re.search(r"^MemTotal:\s+(\d+)", file.read(), re.M)
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    return {
        "kernel": platform.release(), "cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None, "system": system,
    }


def versions():
    """What was compared, as each program or Debian says."""
    def first(*command):
        try:
            return run(list(command)).strip().splitlines()[0]
        except (Failure, OSError, IndexError):
            return "?"

    names = ["wireguard-go", "nebula", "iperf3"]
    result = {name: first("dpkg-query", "-W", "-f", "${Version}\n", name) for name in names}
    result["weft"] = first("git", "-C", HERE, "describe", "--always", "--dirty", "--abbrev=12")
    return result


class Bench:
    """One run: rounds in which every tunnel is up and the measures alternate between them."""

    def __init__(self, settings):
        self.settings = settings
        self.samples = {key: {} for key in settings.tunnels}
        self.failures = []
        self.loads = []
        build = os.path.join(HERE, "Benchmarks", ".build")
        self.tools = {
            "weft": os.environ.get("WEFT", os.path.join(HERE, ".build", "release", "weft")),
            "weft-bench-tunnel": os.path.join(build, "release", "weft-bench-tunnel"),
            "ceiling": os.path.join(build, "ceiling"),
        }

    def run(self):
        hosts = Hosts(self.settings.underlay)
        try:
            hosts.make()
            kinds = [kind for kind in tunnels.ALL if kind.key in self.settings.tunnels]
            # A tunnel's addresses don't depend on who else takes part.
            everyone = [kind(hosts, tunnels.ALL.index(kind), self.tools) for kind in kinds]
            for number in range(1, self.settings.rounds + 1):
                # Each begins a round in turn, so that nobody always follows the same neighbour.
                shift = (number - 1) % len(everyone)
                self._round(number, everyone[shift:] + everyone[:shift])
        finally:
            hosts.close()

    def _round(self, number, everyone):
        self.loads.append(round(os.getloadavg()[0], 2))
        running = []
        try:
            for tunnel in everyone:
                # Also when starting fails half-way there is something to take down.
                running.append(tunnel)
                if not self._measure(number, "start", tunnel, lambda t: (t.prepare(), measures.start(t))[1]):
                    tunnel.down()
                    running.remove(tunnel)
                    self._skip(number, tunnel)
            for name in self.settings.measures:
                for tunnel in running:
                    self._measure(number, name, tunnel, lambda t, n=name: measures.MEASURES[n](t, self.settings.seconds))
        finally:
            for tunnel in running:
                tunnel.down()

    def _measure(self, number, name, tunnel, body):
        label = f"round {number}/{self.settings.rounds}  {name:<10} {tunnel.title:<30}"
        try:
            tunnel.check()
            values = body(tunnel)
        except (Failure, OSError) as failure:
            self._fail(number, name, tunnel, str(failure))
            say(f"{label} FAILED: {failure}")
            return False
        for key, value in values.items():
            self.samples[tunnel.key].setdefault(key, []).append({"round": number, "value": value})
        say(label + "  ".join(report.show(key, value) for key, value in values.items()))
        return True

    def _fail(self, number, name, tunnel, reason):
        for key in measures.YIELDS.get(name, [name]):
            self.failures.append({"round": number, "value": key, "tunnel": tunnel.key, "reason": reason})

    def _skip(self, number, tunnel):
        for name in self.settings.measures:
            self._fail(number, name, tunnel, "it did not start")


def measure():
    settings = Settings()
    bench = Bench(settings)
    began = time.time()
    bench.run()
    result = {
        "machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "minutes": round((time.time() - began) / 60, 1), "load_at_round_start": bench.loads,
        "settings": {
            "underlay": settings.underlay, "rounds": settings.rounds, "seconds_per_test": settings.seconds,
            "udp_window": measures.window(), "mtu": tunnels.MTU, "udp_payload": measures.PAYLOAD, "measures": settings.measures,
        },
        "titles": {kind.key: kind.title for kind in tunnels.ALL if kind.key in settings.tunnels},
        "samples": bench.samples, "failures": bench.failures,
    }
    os.makedirs(RESULTS, exist_ok=True)
    base = os.path.join(RESULTS, settings.underlay)
    result = report.with_medians(result)
    for suffix, text in [(".json", json.dumps(result, indent=1, ensure_ascii=False) + "\n"),
                         (".md", report.markdown(result)), (".svg", report.chart(result))]:
        with open(base + suffix, "w", encoding="utf-8") as file:
            file.write(text)
    print(report.markdown(result))
    say(f"Written to {os.path.relpath(base, HERE)}.md, .json and .svg")
    return 1 if bench.failures else 0


def stop(number, _):
    say(f"bench: stopped by {signal.Signals(number).name}; nothing is left behind")
    raise SystemExit(128 + number)


def main():
    try:
        if sys.argv[1:] == ["--write-docs"]:
            report.write_docs(RESULTS, os.path.join(HERE, "docs"))
            return 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        return measure()
    except Failure as failure:
        say(f"bench: {failure}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

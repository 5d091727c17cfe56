# SPDX-License-Identifier: Apache-2.0
"""What the project promises of its speed, checked against a result."""

import statistics


class Rounds:
    """Values by tunnel and round: ratios are taken within a round."""

    def __init__(self, samples):
        self.samples = samples

    def of(self, tunnel, key):
        return {sample["round"]: sample["value"] for sample in self.samples.get(tunnel, {}).get(key, [])}

    def combine(self, function, *sources):
        """The median of a function of several (tunnel, key), over the rounds that have all; None without one."""
        values = [self.of(*source) for source in sources]
        rounds = set.intersection(*map(set, values))
        results = [function(*(value[number] for value in values)) for number in rounds]
        return statistics.median(results) if results else None

    def ratio(self, above, below):
        return self.combine(lambda a, b: a / b if b else float("inf"), above, below)


def checks(result):
    """A list of what was wanted and found; nothing for what wasn't measured."""
    rounds = Rounds(result["samples"])
    underlay = result["settings"]["underlay"]
    found = []

    def check(text, value, wanted, met, unit=""):
        if value is None:
            return
        shown = f"{value * 100:.1f} %" if unit == "%" else f"{value:.1f} {unit}" if unit else f"{value:.2f}"
        found.append({"text": text, "wanted": wanted, "found": shown, "met": "yes" if met(value) else "**no**"})

    def stream(tunnel):
        return rounds.ratio(("weft", "stream"), (tunnel, "stream"))

    if underlay == "off":
        check("One TCP stream over AF_XDP against Debian's nebula",
              rounds.ratio(("weft-xdp", "stream"), ("nebula", "stream")), "≥ 2.7", lambda v: v >= 2.7)
        check("One TCP stream against Debian's wireguard-go", stream("wireguard-go"), "≥ 5", lambda v: v >= 5)
        return found
    if underlay == "nic":
        check("One TCP stream against the ceiling program", stream("ceiling"), "≥ 0.75", lambda v: v >= 0.75)
        return found

    check("One TCP stream against Debian's wireguard-go", stream("wireguard-go"), "≥ 15", lambda v: v >= 15)
    check("One TCP stream against Debian's nebula", stream("nebula"), "≥ 10", lambda v: v >= 10)
    check("One TCP stream against the ceiling program", stream("ceiling"), "≥ 0.72", lambda v: v >= 0.72)
    check("The same without the cipher", rounds.ratio(("weft-no-cipher", "stream"), ("ceiling", "stream")),
          "≥ 0.92", lambda v: v >= 0.92)
    check("Four streams against one", rounds.ratio(("weft", "stream4"), ("weft", "stream")), "≥ 1",
          lambda v: v >= 1)
    check("Reverse against one", rounds.ratio(("weft", "reverse"), ("weft", "stream")), "≥ 1", lambda v: v >= 1)
    check("Processor time against Debian's wireguard-go", rounds.ratio(("weft", "cpu"), ("wireguard-go", "cpu")),
          "≤ 5 %", lambda v: v <= 0.05, "%")
    check("Processor time against Debian's nebula", rounds.ratio(("weft", "cpu"), ("nebula", "cpu")), "≤ 7 %",
          lambda v: v <= 0.07, "%")
    check("Flood ping against the ceiling program", rounds.ratio(("weft", "rtt_flood"), ("ceiling", "rtt_flood")),
          "≤ 1.15", lambda v: v <= 1.15)
    check("Flood ping against Debian's nebula", rounds.ratio(("weft", "rtt_flood"), ("nebula", "rtt_flood")), "< 1",
          lambda v: v < 1)
    check("UDP under 1 % loss against the better of both",
          rounds.combine(lambda weft, wireguard, nebula: weft / max(wireguard, nebula, 1), ("weft", "udp"),
                         ("wireguard-go", "udp"), ("nebula", "udp")), "≥ 1.5", lambda v: v >= 1.5)
    kept = rounds.ratio(("weft", "udp_flood"), ("weft", "udp"))
    ceiling = rounds.ratio(("ceiling", "udp_flood"), ("ceiling", "udp"))
    least = 0.6 if ceiling is None else min(0.6, 0.9 * ceiling)
    check("UDP goodput flooded, of its peak", kept, f"≥ {least * 100:.0f} %", lambda v: v >= least, "%")
    check("Resident memory of a daemon", rounds.combine(lambda v: v, ("weft", "rss")), "≤ 48 MiB",
          lambda v: v <= 48, "MiB")
    return found

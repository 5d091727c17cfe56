# SPDX-License-Identifier: Apache-2.0
"""What came out: medians, ratios, tables and the page of the documentation."""

import json
import os
import statistics

import chart as drawing
from measures import VALUES
from targets import checks

UNDERLAYS = {
    "plain": "A veth as the kernel makes it: superpackets cross it whole",
    "nic": "A veth that behaves like a NIC: the sender's kernel cuts, the receiver's merges "
           "(`tx-udp-segmentation off tso off gro on`)",
    "off": "A veth with all offloads off: one packet at a time",
}
BY_KEY = {value.key: value for value in VALUES}


def number(key, value):
    digits = BY_KEY[key].digits if key in BY_KEY else 1
    return f"{value:,.{digits}f}"


def show(key, value):
    """For the progress: a value with its name and unit."""
    if key not in BY_KEY:
        return f"{key} {value:.3g}"
    return f"{BY_KEY[key].title} {number(key, value)} {BY_KEY[key].unit}"


def with_medians(result):
    result["medians"] = {
        tunnel: {key: statistics.median(sample["value"] for sample in samples) for key, samples in values.items()}
        for tunnel, values in result["samples"].items()
    }
    result["targets"] = checks(result)
    return result


# --- Markdown --------------------------------------------------------------------------------------------------------

def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cell(result, tunnel, key):
    if key in result["medians"][tunnel]:
        failed = [failure for failure in result["failures"] if (failure["tunnel"], failure["value"]) == (tunnel, key)]
        text = number(key, result["medians"][tunnel][key])
        if key == "udp" and result["medians"][tunnel].get("udp_sender_limited"):
            text = "≥ " + text
        return text + (f" ({len(failed)} of {result['settings']['rounds']} failed)" if failed else "")
    if any(failure["tunnel"] == tunnel and failure["value"] == key for failure in result["failures"]):
        return "failed"
    return ""


def measured(result):
    """The values that anything was measured or failed for, in order."""
    seen = {key for values in result["samples"].values() for key in values}
    seen |= {failure["value"] for failure in result["failures"]}
    return [value for value in VALUES if value.key in seen]


def figures(result):
    values = measured(result)
    header = [""] + [f"{value.title}, {value.unit}" for value in values]
    return table(header, [[title] + [cell(result, tunnel, value.key) for value in values]
                          for tunnel, title in result["titles"].items()])


def target_table(result):
    if not result["targets"]:
        return ""
    rows = [[check["text"], check["wanted"], check["found"], check["met"]] for check in result["targets"]]
    return table(["What it must show", "wanted", "found", "met"], rows)


def notes(result):
    """What a reader must know to believe the figures."""
    settings, machine = result["settings"], result["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['system']}; Weft at {result['versions']['weft']}, wireguard-go {result['versions']['wireguard-go']}, "
        f"nebula {result['versions']['nebula']}, iperf3 {result['versions']['iperf3']}; {result['date']}.",
        f"Medians of {settings['rounds']} rounds, {settings['seconds_per_test']} s a test, inner MTU {settings['mtu']}, "
        f"UDP payloads of {settings['udp_payload']} bytes through sockets with {settings['udp_window'] >> 10} KiB. In each "
        "round all tunnels are up, and each measure goes from one to the next.",
        "The machine's load at the start of each round was "
        + ", ".join(f"{load:.1f}" for load in result["load_at_round_start"])
        + ": what else ran took its part, the rounds before included.",
    ]
    reasons = sorted({(failure["tunnel"], failure["value"], failure["reason"]) for failure in result["failures"]})
    lines += [f"Failed: {result['titles'][tunnel]}, {BY_KEY[key].title if key in BY_KEY else key}: {reason}"
              for tunnel, key, reason in reasons]
    return "\n".join(f"- {line}" for line in lines)


def markdown(result):
    parts = [f"# {UNDERLAYS[result['settings']['underlay']]}", figures(result), target_table(result), notes(result)]
    return "\n\n".join(part for part in parts if part) + "\n"


def chart(result):
    panels = [BY_KEY[key] for key in ("stream", "cpu") if any(key in values for values in result["medians"].values())]
    return drawing.draw(result["titles"], [
        (f"{value.title}, {value.unit}", value.digits,
         {tunnel: values.get(value.key) for tunnel, values in result["medians"].items()}) for value in panels
    ])


# --- The documentation -----------------------------------------------------------------------------------------------

EXPLANATION = """\
## What the columns mean
All traffic runs between two network namespaces of one machine, which share its cores with both ends of the tunnel and
with the programs that make the traffic. Absolute figures so say little about two hosts; what is compared is how much
each tunnel costs. They drift by 10 % and more between runs, so ratios are taken in each round, and their medians count.

- TCP is iperf3 with cubic; what arrived counts. `reverse` sends from the server to the client.
- `processor` is user and system time of the tunnel's own processes while one TCP stream runs, by gigabyte that arrived.
  Kernel tunnels and what the kernel does for a sender or receiver in other processes are not in it.
- `memory` is the larger daemon's highest resident set during that stream, shared libraries included.
- `start` runs from starting both daemons, with what a script must configure for them, to the first answer to a ping.
- UDP below 1 % loss is the highest rate of a ladder, searched by halves, each rate tried twice at most; ≥ marks that
  iperf3 could not send faster. Flooded means as fast as iperf3 can.
- Round trips idle and loaded (one TCP stream at full rate) are of pings each 2 ms. The flood ping's is the mean.
- The ceiling program (Benchmarks/ceiling) copies superpackets between a TUN device and UDP with segmentation offload,
  and does nothing else: no cipher, no checksums, no checks. "Weft without its cipher" copies where Weft seals.

What was not measured: two real hosts, a real NIC, more than two cores, other processors than the one named, newer
versions of the other tunnels than Debian's, IPv6.
"""


MANY_PEERS = "## Many peers in one file"


def kept(docs):
    """What the page says of many peers, as scripts/bench-peers.sh found it earlier."""
    with open(os.path.join(docs, "performance.md"), encoding="utf-8") as file:
        sections = file.read().split("\n\n## ")
    return ["## " + section.rstrip() for section in sections if ("## " + section).startswith(MANY_PEERS + "\n")]


def write_docs(results, docs):
    """Writes docs/performance.md and its chart from the newest results."""
    parts = [
        "<!-- Written by scripts/bench.sh --write-docs; don't edit. -->\n# How fast it is",
        "```\nmake bench                 # the tables below; UNDERLAY=nic and UNDERLAY=off for the other two\n"
        "make bench-engine          # the engine alone\n"
        "make bench-peers           # a thousand peers in one file\n"
        "ROUNDS=1 SECONDS_PER_TEST=2 ONLY=weft,ceiling make bench    # a quick look\n"
        "scripts/bench.sh --write-docs   # this page, from Benchmarks/results\n```",
    ]
    found = False
    for underlay in UNDERLAYS:
        path = os.path.join(results, f"{underlay}.json")
        if not os.path.exists(path):
            parts.append(f"## {UNDERLAYS[underlay]}\nNot measured yet.")
            continue
        found = True
        with open(path, encoding="utf-8") as file:
            result = with_medians(json.load(file))
        parts.append("#" + markdown(result).rstrip())
        if underlay == "plain":
            with open(os.path.join(docs, "performance.svg"), "w", encoding="utf-8") as file:
                file.write(chart(result))
            parts.append("![One TCP stream, and processor time](performance.svg)")
    engine = os.path.join(results, "engine.md")
    if os.path.exists(engine):
        with open(engine, encoding="utf-8") as file:
            parts.append("## The engine alone\n" + file.read().rstrip())
    else:
        parts.append("## The engine alone\nNot measured yet.")
    peers = os.path.join(results, "peers.md")
    if os.path.exists(peers):
        with open(peers, encoding="utf-8") as file:
            parts.append(MANY_PEERS + "\n" + file.read().rstrip())
    else:
        parts += kept(docs)
    if not found:
        raise SystemExit("bench: no results in Benchmarks/results: run make bench first")
    parts.append(EXPLANATION.rstrip())
    with open(os.path.join(docs, "performance.md"), "w", encoding="utf-8") as file:
        file.write("\n\n".join(parts) + "\n")

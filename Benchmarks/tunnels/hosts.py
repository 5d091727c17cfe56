# SPDX-License-Identifier: Apache-2.0
"""Two hosts made of network namespaces, and the underlays that join them."""

import os
import subprocess
import time

# What a profile turns off and on at both ends of a veth pair.
PROFILES = {
    # As the kernel makes it: superpackets cross it whole.
    "plain": [],
    # Like a NIC: the sender's kernel cuts what it sends, the receiver's merges what arrives.
    "nic": ["tx-udp-segmentation", "off", "tso", "off", "gro", "on"],
    # One packet at a time, checksums in software.
    "off": ["tx-udp-segmentation", "off", "tso", "off", "gso", "off", "gro", "off", "rx", "off", "tx", "off",
            "sg", "off"],
}


class Failure(Exception):
    """A step that didn't work; the text says which."""


def run(arguments, timeout=10, **options):
    """Runs a command and returns what it printed; a Failure when it fails or takes too long."""
    try:
        result = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False,
                                stdin=options.pop("stdin", subprocess.DEVNULL), **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{arguments[-1] if len(arguments) < 2 else ' '.join(arguments[:6])}: took more than "
                      f"{timeout:.0f} s") from None
    if result.returncode != 0:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise Failure(f"{' '.join(arguments[:8])}: {lines[-1] if lines else f'status {result.returncode}'}")
    return result.stdout


def wait_for(what, condition, timeout=10.0, pause=0.003):
    """Waits until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"waited {timeout:.0f} s for {what}, in vain")
        time.sleep(pause)
    return result


class Host:
    """One namespace. Its processes are named by pid, and die with us."""

    def __init__(self, side, number):
        self.side = side
        self.number = number
        self.namespace = f"weft-bench-{os.getpid()}-{side}"
        self.underlay = f"192.0.2.{number}"

    def inside(self, arguments):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *map(str, arguments)]

    def run(self, *arguments, timeout=10, **options):
        return run(self.inside(arguments), timeout, **options)

    def works(self, *arguments, timeout=10):
        try:
            self.run(*arguments, timeout=timeout)
            return True
        except Failure:
            return False

    def spawn(self, *arguments, output=subprocess.DEVNULL, errors=subprocess.DEVNULL, environment=None):
        """Starts a process that is killed when we die, however that comes."""
        return subprocess.Popen(
            self.inside(["setpriv", "--pdeathsig", "KILL", "--", *arguments]), stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, text=True, env={**os.environ, **(environment or {})})

    def listens(self, port):
        return self.run("ss", "-Hltn", f"sport = :{port}").strip() != ""


class Hosts:
    """Left and right, joined by two underlays of 1,500 bytes, of which AF_XDP has one, and by a plain link of 1,400."""

    plain_mtu = 1400

    def __init__(self, profile):
        self.profile = profile
        self.left = Host("left", 1)
        self.right = Host("right", 2)
        # In memory of our own mounts: keys and logs vanish with us.
        self.folder = "/run/weft-bench"

    def __iter__(self):
        return iter((self.left, self.right))

    def other(self, host):
        return self.right if host is self.left else self.left

    def make(self):
        # The mounts are ours alone: names of namespaces and control sockets are seen by nobody else.
        run(["mount", "-t", "tmpfs", "weft-bench", "/run"])
        os.makedirs("/run/netns")
        os.makedirs(self.folder, mode=0o700)
        for host in self:
            run(["ip", "netns", "add", host.namespace])
            host.run("ip", "link", "set", "lo", "up")
        self._join("underlay", 1500, 0, "192.0.2.{}/30")
        self._join("express", 1500, 4, "198.51.100.{}/30")
        self._join("plain", self.plain_mtu, 2, "192.0.2.1{}/28")

    def _join(self, device, mtu, mac, address):
        def link(host):
            return f"02:00:00:00:0{mac}:0{host.number}"

        run(["ip", "link", "add", "name", device, "mtu", str(mtu), "address", link(self.left),
             "netns", self.left.namespace, "type", "veth", "peer", "name", device, "mtu", str(mtu),
             "address", link(self.right), "netns", self.right.namespace])
        for host in self:
            other = self.other(host)
            if PROFILES[self.profile]:
                host.run("ethtool", "-K", device, *PROFILES[self.profile])
            # Nothing speaks on it but what is measured: no IPv6 autoconfiguration, no ARP.
            host.run("ip", "link", "set", device, "up", "addrgenmode", "none")
            host.run("ip", "address", "add", address.format(host.number), "dev", device)
            host.run("ip", "neighbour", "replace", address.format(other.number).split("/")[0],
                     "lladdr", link(other), "nud", "permanent", "dev", device)

    def close(self):
        """Ends whatever still runs in the namespaces, and removes them. Never fails."""
        for host in self:
            if not os.path.exists(f"/run/netns/{host.namespace}"):
                continue
            listed = subprocess.run(["ip", "netns", "pids", host.namespace], capture_output=True, text=True,
                                    check=False)
            for pid in listed.stdout.split():
                try:
                    os.kill(int(pid), 9)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, check=False)

# SPDX-License-Identifier: Apache-2.0
"""What is compared: how each tunnel is brought up between the two hosts, and taken down."""

import os
import stat

from hosts import Failure, run, wait_for

MTU = 1400


class Tunnel:
    """A way from left to right. `index` keeps the tunnels' addresses and ports apart: all are up at a time."""

    # What tables and files call it.
    key = ""
    title = ""
    # Whether it has processes whose time and memory count.
    has_processes = True

    def __init__(self, hosts, index, tools):
        self.hosts = hosts
        self.index = index
        self.tools = tools
        self.folder = os.path.join(hosts.folder, self.key)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.processes = []

    def address(self, host):
        return f"10.{100 + self.index}.0.{host.number}"

    def device(self, host):
        """Control sockets are named by device, and both hosts see them: so the name tells the hosts apart."""
        return f"{self.key[:10]}-{host.side[0]}"

    def path(self, name, text):
        """A private file of ours that holds `text`."""
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def spawn(self, host, *arguments, **environment):
        log = os.path.join(self.folder, f"{host.side}.log")
        with open(log, "w", encoding="utf-8") as output:
            process = host.spawn(*arguments, output=output, errors=output, environment=environment)
        process.log = log
        self.processes.append(process)
        return process

    def check(self):
        """A Failure with a daemon's last words when one has ended."""
        for process in self.processes:
            if process.poll() is not None:
                with open(process.log, encoding="utf-8", errors="replace") as log:
                    lines = log.read().strip().splitlines()
                raise Failure(f"a process ended with status {process.returncode}: {lines[-1] if lines else ''}")

    def prepare(self):
        """Makes keys and files; not a part of starting."""

    def up(self):
        raise NotImplementedError

    def down(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(3)
            except Exception:  # pylint: disable=broad-except
                process.kill()
                process.wait()
        self.processes = []

    def wait_for_device(self, host):
        def there():
            self.check()
            return host.works("ip", "link", "show", "dev", self.device(host))

        wait_for(f"the device {self.device(host)}", there)

    def configure(self, host):
        device = self.device(host)
        batch = f"address add {self.address(host)}/24 dev {device}\nlink set {device} mtu {MTU} up\n"
        host.run("ip", "-batch", self.path(f"{host.side}.ip", batch))


class Plain(Tunnel):
    key = "veth"
    title = "plain veth"
    has_processes = False

    def address(self, host):
        return f"192.0.2.1{host.number}"

    def up(self):
        pass


class VXLAN(Tunnel):
    key = "vxlan"
    title = "kernel VXLAN"
    has_processes = False

    def up(self):
        for host in self.hosts:
            host.run("ip", "link", "add", self.device(host), "type", "vxlan", "id", "42", "local", host.underlay,
                     "remote", self.hosts.other(host).underlay, "dstport", "4789", "dev", "underlay")
            self.configure(host)

    def down(self):
        for host in self.hosts:
            host.works("ip", "link", "delete", self.device(host))


class WireGuardGo(Tunnel):
    key = "wireguard-go"
    title = "wireguard-go (Debian)"

    def device(self, host):
        return f"wg-{host.side}"

    def prepare(self):
        private = {host: run(["wg", "genkey"]).strip() for host in self.hosts}
        for host in self.hosts:
            other = self.hosts.other(host)
            with open(self.path("key", private[other] + "\n"), encoding="utf-8") as key:
                public = run(["wg", "pubkey"], stdin=key).strip()
            self.path(f"{host.side}.conf", "\n".join([
                "[Interface]", f"PrivateKey = {private[host]}", "ListenPort = 51820", "[Peer]",
                f"PublicKey = {public}", f"Endpoint = {other.underlay}:51820",
                f"AllowedIPs = {self.address(other)}/32", ""]))

    def up(self):
        os.makedirs("/run/wireguard", exist_ok=True)
        for host in self.hosts:
            self.spawn(host, "wireguard-go", "--foreground", self.device(host))
        for host in self.hosts:
            socket = f"/run/wireguard/{self.device(host)}.sock"

            def there(socket=socket):
                self.check()
                return os.path.exists(socket) and stat.S_ISSOCK(os.stat(socket).st_mode)

            wait_for(f"wireguard-go's socket {socket}", there)
            host.run("wg", "setconf", self.device(host), f"{self.folder}/{host.side}.conf")
            self.configure(host)


class Nebula(Tunnel):
    key = "nebula"
    title = "nebula (Debian)"

    def prepare(self):
        def cert(*arguments):
            run(["nebula-cert", *arguments], cwd=self.folder)

        if not os.path.exists(f"{self.folder}/ca.crt"):
            cert("ca", "-name", "bench")
            for host in self.hosts:
                cert("sign", "-name", host.side, "-ip", f"{self.address(host)}/24")
        for host in self.hosts:
            other = self.hosts.other(host)
            self.path(f"{host.side}.yml", f"""\
pki: {{ca: {self.folder}/ca.crt, cert: {self.folder}/{host.side}.crt, key: {self.folder}/{host.side}.key}}
static_host_map: {{"{self.address(other)}": ["{other.underlay}:4242"]}}
lighthouse: {{am_lighthouse: false}}
listen: {{host: {host.underlay}, port: 4242}}
tun: {{dev: {self.device(host)}, mtu: {MTU}}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
""")

    def up(self):
        for host in self.hosts:
            self.spawn(host, "nebula", "-config", f"{self.folder}/{host.side}.yml")


class Weft(Tunnel):
    key = "weft"
    title = "Weft"
    port = 6081
    # What carries the packets.
    driver = "tun"

    def endpoint(self, host):
        return f"{host.underlay}:{self.port}"

    def prepare(self):
        keys = [run([self.tools["weft"], "genkey", "--manual"]).strip() for _ in self.hosts]
        for host, send, receive in zip(self.hosts, keys, reversed(keys)):
            other = self.hosts.other(host)
            # A key and the state of its counters live together: both are new each time.
            state = f"{self.folder}/{host.side}"
            run(["rm", "-rf", state])
            os.makedirs(f"{state}/run", mode=0o700)
            os.makedirs(f"{state}/state", mode=0o700)
            self.path(f"{self.device(host)}.conf", f"""\
[Interface]
Address = {self.address(host)}/24
ListenPort = {self.port}
MTU = {MTU}
Driver = {self.driver}
StateDirectory = {state}/state

[Peer]
VNI = 7
Endpoint = {self.endpoint(other)}
AllowedIPs = {self.address(other)}/32
Epoch = 1
SendKey = {send}
ReceiveKey = {receive}
""")

    def up(self):
        for host in self.hosts:
            self.spawn(host, self.tools["weft"], "up", f"{self.folder}/{self.device(host)}.conf",
                       WEFT_RUNTIME_DIRECTORY=f"{self.folder}/{host.side}/run")


class WeftXDP(Weft):
    key = "weft-xdp"
    title = "Weft, AF_XDP"
    port = 6083
    driver = "xdp"

    def endpoint(self, host):
        # An underlay of its own, since an XDP program changes how a veth works, for all that use it.
        return f"198.51.100.{host.number}:{self.port}"


class WeftWithoutCipher(Tunnel):
    key = "weft-no-cipher"
    title = "Weft without its cipher"

    def device(self, host):
        return f"bare-{host.side}"

    def up(self):
        for host in self.hosts:
            other = self.hosts.other(host)
            self.spawn(host, self.tools["weft-bench-tunnel"], self.device(host), f"{self.address(host)}/24", 6082,
                       f"{other.underlay}:6082", f"{self.address(other)}/32", host.side, "none")


class Ceiling(Tunnel):
    key = "ceiling"
    title = "ceiling program (copies only)"

    def up(self):
        for host in self.hosts:
            self.spawn(host, self.tools["ceiling"], self.device(host), host.underlay,
                       self.hosts.other(host).underlay, 7000)
        for host in self.hosts:
            self.wait_for_device(host)
            self.configure(host)


ALL = [Plain, VXLAN, WireGuardGo, Nebula, Weft, WeftXDP, WeftWithoutCipher, Ceiling]

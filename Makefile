# SPDX-License-Identifier: Apache-2.0
# Each target installs the Debian packages that it needs first. `make` alone says what there is.

PREFIX = /usr/local
DESTDIR =

SWIFT = swift
# Inputs per fuzz target.
RUNS = 1000000
# What carries the demo's packets.
DRIVER = auto
# For example SWIFT_TEST_FLAGS='--filter IntegrationTests'.
SWIFT_TEST_FLAGS =

bindir = $(DESTDIR)$(PREFIX)/bin
libexecdir = $(DESTDIR)$(PREFIX)/libexec/weft
mandir = $(DESTDIR)$(PREFIX)/share/man
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system
userunitdir = $(DESTDIR)$(PREFIX)/lib/systemd/user
sysusersdir = $(DESTDIR)$(PREFIX)/lib/sysusers.d

# The programs carry the runtimes of Swift and of C++ along, so that they run where no toolchain is. Nothing in them says where they were
# built, so that the same sources give the same bytes. The linker takes the C++ library from a folder that has its archive only.
STATIC = $(CURDIR)/.build/static
RELEASE = -c release --static-swift-stdlib --disable-local-rpath -debug-info-format none -Xcc -ffile-prefix-map='$(CURDIR)=.' \
    -Xlinker -L'$(STATIC)' -Xlinker --icf=safe -Xlinker -z -Xlinker relro -Xlinker -z -Xlinker now \
    -Xswiftc -Xclang-linker -Xswiftc -static-libgcc -Xswiftc -Xfrontend -Xswiftc -disable-incremental-llvm-codegen
PROGRAMS = weft weft-control weft-map
WEFT = .build/release/weft

.PHONY: help build demo test test-exhaustive test-thread test-address test-control test-mtu soak lint fuzz bench bench-packets bench-engine bench-keys \
    bench-peers bench-floods bench-show bench-map install install-built uninstall deb check-programs test-deb test-reproducible debian13 release clean

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the programs for use: .build/release/weft, with weft-control and weft-map beside it
	@scripts/install-dependencies.sh build
	@install -d '$(STATIC)'
	@ln -sf "$$("$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/clang" --print-file-name=libstdc++.a)" '$(STATIC)'
	for program in $(PROGRAMS); do $(SWIFT) build $(RELEASE) --product $$program || exit; done

demo: build ## three hosts made of namespaces, tunnels between them, and proof that they work: DRIVER=tun, xdp, or one each as in tun,xdp
	@scripts/install-dependencies.sh demo
	DRIVER='$(DRIVER)' scripts/demo.sh

test: ## all tests; those that need root and namespaces are skipped without root
	@scripts/install-dependencies.sh test
	@scripts/install-aioquic.sh
	$(SWIFT) test $(SWIFT_TEST_FLAGS)

test-exhaustive: ## a million random superpackets and packet runs against naive references, 10 GB of mixed traffic, floods of strangers, a scanner's million probes, late NAT in all ways
	@scripts/install-dependencies.sh test
	WEFT_EXHAUSTIVE=1 $(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build/exhaustive \
	    --filter 'Superpacket|Integrity|garbageDoesNoHarm|FirstPacketFlood|Integration.(Silence|Translations)'

test-thread: ## all tests under ThreadSanitizer
	@scripts/install-dependencies.sh test
	$(SWIFT) test --sanitize=thread --scratch-path .build/thread $(SWIFT_TEST_FLAGS)

test-address: ## all tests under AddressSanitizer
	@scripts/install-dependencies.sh test
	@# Leaks are Foundation's and XCTest's own.
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build/address $(SWIFT_TEST_FLAGS)

test-control: ## what a control process can do to a tunnel: 100 of them ended under traffic, a million hostile messages under AddressSanitizer
	@scripts/install-dependencies.sh test
	WEFT_CONTROL_ENDS=100 WEFT_CONTROL_PATIENCE=3 $(SWIFT) test --filter ControlProcesses
	WEFT_HOSTILE_ROUNDS=1000000 ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build/address \
	    --filter HostileControl

soak: ## a year in an hour: WEFT_SOAK_EVENTS (500) events on four tunnels, each back within 3 s, drawn by WEFT_SOAK_SEED; as root
	@[ "$$(id -u)" = 0 ] || { echo 'make soak: run it as root: it makes network namespaces' >&2; exit 1; }
	@scripts/install-dependencies.sh test
	WEFT_SOAK_EVENTS="$${WEFT_SOAK_EVENTS:-500}" WEFT_SOAK_PATIENCE="$${WEFT_SOAK_PATIENCE:-3}" \
	    $(SWIFT) test --filter 'Integration.Soak'

test-mtu: ## paths of each length from 1,200 bytes to 1,500, and 9,000, with ICMP blocked and forged: a table of what is found, and how soon; as root
	@[ "$$(id -u)" = 0 ] || { echo 'make test-mtu: run it as root: it makes network namespaces' >&2; exit 1; }
	@scripts/install-dependencies.sh test
	WEFT_MTU_SWEEP=1 $(SWIFT) test --filter 'Integration.MTU/each'

lint: ## check format, scripts, licence lines, manual pages
	@scripts/install-dependencies.sh lint
	scripts/lint.sh

fuzz: ## feed the parsers random input under AddressSanitizer: RUNS inputs per target
	@scripts/install-dependencies.sh fuzz
	scripts/fuzz.sh '$(RUNS)'

bench: build ## Weft beside other tunnels: ROUNDS, SECONDS_PER_TEST, UNDERLAY, ONLY (see scripts/bench.sh)
	@scripts/install-dependencies.sh bench
	$(SWIFT) build -c release --package-path Benchmarks --product weft-bench-tunnel
	scripts/bench.sh

bench-packets: ## packets per second over AF_XDP beside a C bridge that only moves frames: ROUNDS, SECONDS_PER_TEST
	@scripts/install-dependencies.sh bench
	$(SWIFT) build -c release --package-path Benchmarks --product weft-bench-tunnel
	scripts/bench-packets.sh

bench-engine: ## the engine beside the bare cipher: time per packet, superpackets, many networks and routes
	@scripts/install-dependencies.sh build
	$(SWIFT) build -c release --package-path Benchmarks --product weft-bench-engine
	@install -d Benchmarks/results
	Benchmarks/.build/release/weft-bench-engine > Benchmarks/results/engine.md
	@cat Benchmarks/results/engine.md

bench-keys: ## a key server: time per grant and memory per network, with 1,000 initiators and 10,000 networks
	@scripts/install-dependencies.sh build
	$(SWIFT) build -c release --package-path Benchmarks --product weft-bench-keys
	@install -d Benchmarks/results
	Benchmarks/.build/release/weft-bench-keys > Benchmarks/results/keys.txt
	@cat Benchmarks/results/keys.txt

bench-peers: build ## many peers in one file beside one: start, memory, cost per packet; as root: PEERS, ROUNDS, SECONDS_PER_TEST
	@scripts/install-dependencies.sh bench
	$(SWIFT) build -c release --package-path Benchmarks --product weft-bench-peers
	scripts/bench-peers.sh

bench-floods: ## a peer that wants in and another's traffic while strangers flood the port: WEFT_FLOOD_TRIES (100), WEFT_FLOOD_RATE (20000); as root
	@[ "$$(id -u)" = 0 ] || { echo 'make bench-floods: run it as root: it makes network namespaces' >&2; exit 1; }
	@scripts/install-dependencies.sh test
	WEFT_FLOOD_TRIES="$${WEFT_FLOOD_TRIES:-100}" WEFT_FLOOD_SECONDS="$${WEFT_FLOOD_SECONDS:-10}" \
	    $(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build/exhaustive --filter Integration.Floods

bench-show: build ## how long `weft show` takes: ROUNDS; as root
	scripts/bench-show.sh

bench-map: ## the kernel's tunnel map: time to load and change it, memory, cost per packet; as root
	@scripts/install-dependencies.sh build
	$(SWIFT) build -c release --package-path Benchmarks --product weft-bench-map
	@install -d Benchmarks/results
	Benchmarks/.build/release/weft-bench-map > Benchmarks/results/map.md
	@cat Benchmarks/results/map.md

install: build install-built ## install the programs, their manual pages, completions and systemd units: PREFIX, DESTDIR

# Without building first.
install-built:
	install -d '$(bindir)' '$(libexecdir)' '$(mandir)/man8' '$(mandir)/man5' '$(bashdir)' '$(zshdir)' '$(fishdir)' '$(unitdir)' \
	    '$(userunitdir)' '$(sysusersdir)'
	install -m 755 $(WEFT) $(WEFT)-map '$(bindir)'
	install -m 755 $(WEFT)-control '$(libexecdir)'
	install -m 644 docs/man/weft.8 '$(mandir)/man8/weft.8'
	install -m 644 docs/man/weft-keyserve.8 '$(mandir)/man8/weft-keyserve.8'
	install -m 644 docs/man/weft-tunnel-map.8 '$(mandir)/man8/weft-tunnel-map.8'
	ln -sf weft-tunnel-map.8 '$(mandir)/man8/weft-map.8'
	install -m 644 docs/man/weft.conf.5 '$(mandir)/man5/weft.conf.5'
	$(WEFT) completion bash > '$(bashdir)/weft'
	$(WEFT) completion zsh > '$(zshdir)/_weft'
	$(WEFT) completion fish > '$(fishdir)/weft.fish'
	install -m 644 docs/systemd/weft.sysusers '$(sysusersdir)/weft.conf'
	sed 's|@bindir@|$(PREFIX)/bin|' docs/systemd/weft@.service > '$(unitdir)/weft@.service'
	sed 's|@bindir@|$(PREFIX)/bin|' docs/systemd/user/weft@.service > '$(userunitdir)/weft@.service'
	sed 's|@bindir@|$(PREFIX)/bin|' docs/systemd/weft-keyserve@.service > '$(unitdir)/weft-keyserve@.service'
	sed 's|@bindir@|$(PREFIX)/bin|' docs/systemd/weft-tunnel-map@.service \
	    > '$(unitdir)/weft-tunnel-map@.service'

uninstall: ## remove what `make install` put there, also the first release's: PREFIX, DESTDIR; what is in /etc/weft and /var/lib/weft stays
	rm -f '$(bindir)/weft' '$(bindir)/weft-map' '$(libexecdir)/weft-control' '$(mandir)/man8/weft.8' '$(mandir)/man8/weft-keyserve.8' \
	    '$(mandir)/man8/weft-tunnel-map.8' '$(mandir)/man8/weft-map.8' '$(mandir)/man5/weft.conf.5' '$(bashdir)/weft' '$(zshdir)/_weft' \
	    '$(fishdir)/weft.fish' '$(sysusersdir)/weft.conf' '$(unitdir)/weft@.service' '$(unitdir)/weft-keyserve@.service' \
	    '$(unitdir)/weft-tunnel-map@.service' '$(userunitdir)/weft@.service'
	[ ! -d '$(libexecdir)' ] || rmdir --ignore-fail-on-non-empty '$(libexecdir)'

deb: build ## Debian packages of the programs and of the libraries' sources, for the Debian that runs here: .build/packages
	@scripts/install-dependencies.sh deb
	scripts/deb.sh $(DEB_VERSION)

check-programs: build ## hold the programs to what they may take: shared libraries, bytes
	scripts/check-programs.sh

test-deb: build ## make, install, upgrade and purge the packages in chroots of Debian 12 and 13, under systemd too; as root
	@scripts/install-dependencies.sh deb chroot
	scripts/test-deb.sh bookworm
	scripts/test-deb.sh trixie
	scripts/test-embedder.sh .build/packages/debian*/weft-dev_*.deb

test-reproducible: ## build the packages twice from nothing, in two folders, and compare their bytes
	@scripts/install-dependencies.sh deb
	scripts/test-reproducible.sh

debian13: ## build and test in a chroot of Debian 13, which has this machine's toolchain; as root
	@scripts/install-dependencies.sh chroot
	scripts/debian.sh trixie make build test SWIFT_TEST_FLAGS='$(SWIFT_TEST_FLAGS)'

release: ## a release of what is committed: VERSION=1.2.0; as root
	@scripts/install-dependencies.sh deb chroot
	scripts/release.sh '$(VERSION)'

clean: ## remove everything that was built
	rm -rf .build Fuzz/.build Benchmarks/.build

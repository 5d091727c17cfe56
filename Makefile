# SPDX-License-Identifier: Apache-2.0
# Each target installs the Debian packages that it needs first. `make` alone says what there is.

PREFIX = /usr/local
DESTDIR =

SWIFT = swift
# Inputs per fuzz target.
RUNS = 1000000
# For example SWIFT_TEST_FLAGS='--filter IntegrationTests'.
SWIFT_TEST_FLAGS =

bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

# The command carries the Swift runtime along, so that it runs where no toolchain is.
RELEASE = -c release --static-swift-stdlib --product weft
WEFT = .build/release/weft

.PHONY: help build demo test test-exhaustive test-thread test-address lint fuzz install clean

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the command for use: .build/release/weft
	@scripts/install-dependencies.sh build
	$(SWIFT) build $(RELEASE)

demo: build ## two hosts made of namespaces, a tunnel between them, and proof that it works
	@scripts/install-dependencies.sh demo
	scripts/demo.sh

test: ## all tests; those that need root and namespaces are skipped without root
	@scripts/install-dependencies.sh test
	$(SWIFT) test $(SWIFT_TEST_FLAGS)

test-exhaustive: ## a million random superpackets and packet runs against naive references
	@scripts/install-dependencies.sh test
	WEFT_EXHAUSTIVE=1 $(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build/exhaustive \
	    --filter Superpacket

test-thread: ## all tests under ThreadSanitizer
	@scripts/install-dependencies.sh test
	$(SWIFT) test --sanitize=thread --scratch-path .build/thread $(SWIFT_TEST_FLAGS)

test-address: ## all tests under AddressSanitizer
	@scripts/install-dependencies.sh test
	$(SWIFT) test --sanitize=address --scratch-path .build/address $(SWIFT_TEST_FLAGS)

lint: ## check format, scripts, licence lines, manual pages
	@scripts/install-dependencies.sh lint
	scripts/lint.sh

fuzz: ## feed the parsers random input under AddressSanitizer: RUNS inputs per target
	@scripts/install-dependencies.sh fuzz
	RUNS='$(RUNS)' scripts/fuzz.sh

install: build ## install the command, its manual pages and completions: PREFIX, DESTDIR
	install -d '$(bindir)' '$(mandir)/man8' '$(mandir)/man5' '$(bashdir)' '$(zshdir)' '$(fishdir)'
	install -m 755 $(WEFT) '$(bindir)/weft'
	install -m 644 docs/man/weft.8 '$(mandir)/man8/weft.8'
	install -m 644 docs/man/weft.conf.5 '$(mandir)/man5/weft.conf.5'
	$(WEFT) completion bash > '$(bashdir)/weft'
	$(WEFT) completion zsh > '$(zshdir)/_weft'
	$(WEFT) completion fish > '$(fishdir)/weft.fish'

clean: ## remove everything that was built
	rm -rf .build Fuzz/.build Benchmarks/.build

# What can be done here. `make help` lists it.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint check deny

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | sort | expand -t 16

demo: ## Show the whole loop on a simulated fleet; needs nothing but Rust
	$(CARGO) run -- demo

# Seeds that the simulation has not run before: others with each commit, the same each time for one.
PLIMSOLL_FRESH ?= $(shell revision=$$(git rev-parse --short=8 HEAD 2>/dev/null) && printf %d 0x$$revision)
ifneq ($(PLIMSOLL_FRESH),)
export PLIMSOLL_FRESH
endif

test: peers ## Run all tests; installs the servers they need first
	$(CARGO) test --locked

.PHONY: schemas
schemas: ## Write deploy/schemas/ anew, after the types of what people write or commands print have changed
	$(CARGO) run --locked -- explain --schemas deploy/schemas

.PHONY: metrics
metrics: ## Write docs/metrics.md anew, after the catalogue of metrics has changed
	$(CARGO) run --locked -- explain metrics > docs/metrics.md

bench: bench-fleet bench-policies ## Measure all of it (benches/README.md has the sizes to choose and the figures)

.PHONY: bench-policies bench-fleet
bench-policies: ## Measure the evaluation of policies (PLIMSOLL_CORPUS: on those documents)
	$(CARGO) bench --locked --bench policies

# What is measured beside plimsoll: pinned, installed under target/bench. The stamp's name is a checksum of what was asked for.
BENCH_PEERS_STAMP := target/bench/peers/installed-$(shell cat benches/peers/c7n.txt benches/peers/prowler.txt benches/peers/install.sh | cksum | tr ' ' '-')

# Beside whom; nobody where it is empty.
BENCH_PEERS ?= plain,c7n-1,c7n-6,prowler
export BENCH_PEERS

bench-fleet: $(if $(BENCH_PEERS),$(BENCH_PEERS_STAMP)) ## Measure a fleet over HTTP, beside other tools (BENCH_SERVICES=100,1000)
	$(CARGO) build --release --locked
	python3 benches/fleet/run.py

$(BENCH_PEERS_STAMP):
	sh benches/peers/install.sh target/bench/peers
	touch $@

SEEDS ?= 100
.PHONY: simulate
simulate: ## Try to break the controller: SEEDS=1000 runs of several controllers under every fault
	PLIMSOLL_SEEDS=$(SEEDS) $(CARGO) test --locked --profile simulate --test it simulation::many -- --ignored --nocapture

lint: ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

check: lint test deny ## All that a change must pass

# Advisories need the internet's database and are left to a scheduled job.
DENY := $(firstword $(wildcard target/tools/bin/cargo-deny) $(shell command -v cargo-deny 2>/dev/null))

deny: ## Check licences, sources and banned crates, where cargo-deny is installed (make deny-install)
	@if [ -n "$(DENY)" ]; then $(DENY) --locked check bans licenses sources; \
	else echo 'skipped: cargo-deny is not installed; make deny-install'; fi

.PHONY: deny-install
deny-install: target/tools/bin/cargo-deny ## Install cargo-deny under target/tools (two minutes, once)

target/tools/bin/cargo-deny:
	$(CARGO) install --locked --debug cargo-deny@0.20.2 --root target/tools

# `peers`: the servers the tests need, pinned, installed under target/.
include tests/peers/peers.mk

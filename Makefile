# Every command of the project. `make demo` shows it, `make test` is the gate.

PYTHON ?= python3
CARGO ?= cargo

# Arguments for the demo: make demo ARGS='--in transactions.csv.zst'
ARGS ?=

# nextest where it is installed: the same tests, a process each, and a summary.
TESTS := $(if $(shell $(CARGO) nextest --version 2>/dev/null),nextest run,test --tests --bins --lib)

.NOTPARALLEL:
.PHONY: help demo test format clippy tests doctests examples unchecked broker fmt bench audit

## help: this list
help:
	@sed -n 's/^## /  make /p' Makefile

## demo: a broker, the service and a processor that replays a stream, with verdicts as they come
demo: broker
	$(CARGO) build --release --locked
	target/release/gavel demo $(ARGS)

## test: the gate: format, lints, tests against a real broker, doc tests, the examples of the rules
test: format clippy tests doctests examples unchecked

format:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- --deny warnings

# One seed, so that the gate answers the same for the same tree; PROPTEST_RNG_SEED= tries other streams.
tests: export PROPTEST_RNG_SEED ?= 20260101
# As many simulated runs with faults as that time holds.
tests: export SIMULATION_SECONDS ?= 90
tests: broker
	$(CARGO) $(TESTS) --locked

doctests:
	$(CARGO) test --locked --doc

examples:
	$(CARGO) run --quiet --locked -- check rules

# What the gate could not check on this machine, said last so that it is read.
unchecked:
	@command -v promtool >/dev/null || echo "NOT CHECKED: promtool is not installed, so metrics and alerts were not parsed"
	@command -v prometheus >/dev/null || echo "NOT CHECKED: prometheus is not installed, so nothing scraped the service"
	@test -d ../shared/data || echo "NOT CHECKED: ../shared/data is absent, so nothing ran on published data"

## broker: a nats-server at .tools/nats-server, fetched where none is installed
broker:
	$(PYTHON) tools/nats_server.py

## fmt: formats the source
fmt:
	$(CARGO) fmt

## bench: measures the parts; run it on a quiet machine
bench:
	$(CARGO) bench --locked

## model: learns the shipped model again, byte for byte, from a simulated stream
model:
	$(CARGO) build --release --locked
	mkdir -p target/model
	target/release/gavel simulate --out target/model/stream.csv.zst --seed 20 --cards 3000 --days 120
	target/release/gavel train --in target/model/stream.csv.zst --out models/gavel.model --name gavel-simulated \
		--features models/features.toml --config models/recipe.toml \
		--from 2026-01-31 --to 2026-04-01 --maturity 7d --seed 1 --rules none

## audit: licences and sources of every dependency, then known vulnerabilities (their list is fetched from GitHub)
audit: .tools/bin/cargo-deny
	.tools/bin/cargo-deny check licenses bans sources
	.tools/bin/cargo-deny check advisories

# Minutes to build, so it is no part of the gate.
.tools/bin/cargo-deny:
	$(CARGO) install --locked --root .tools cargo-deny --version 0.20.2

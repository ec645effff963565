# Every command of the project. `make demo` shows it, `make test` is the gate.

PYTHON ?= python3
CARGO ?= cargo

# Arguments for the demo: make demo ARGS='--in transactions.csv.zst'
ARGS ?=

BROKER := .tools/nats-server
# nextest where it is installed: the same tests, a process each, and a summary.
TESTS := $(if $(shell $(CARGO) nextest --version 2>/dev/null),nextest run,test --tests --bins --lib)

.NOTPARALLEL:
.PHONY: demo test format clippy tests doctests broker fmt bench audit

## demo: a broker, the service and a processor that replays a stream, with verdicts as they come
demo: broker
	$(CARGO) build --release --locked
	target/release/gavel demo $(ARGS)

## test: the gate: format, lints, tests against a real broker, doc tests
test: format clippy tests doctests

format:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- --deny warnings

tests: broker
	$(CARGO) $(TESTS) --locked

doctests:
	$(CARGO) test --locked --doc

## broker: a nats-server at .tools/nats-server, fetched where none is installed
broker:
	$(PYTHON) tools/nats_server.py

## fmt: formats the source
fmt:
	$(CARGO) fmt

## bench: measures the parts; run it on a quiet machine
bench:
	$(CARGO) bench --locked

## audit: licences and sources of every dependency, then known vulnerabilities (their list is fetched from GitHub)
audit: .tools/bin/cargo-deny
	.tools/bin/cargo-deny check licenses bans sources
	.tools/bin/cargo-deny check advisories

# Minutes to build, so it is no part of the gate.
.tools/bin/cargo-deny:
	$(CARGO) install --locked --root .tools cargo-deny --version 0.20.2

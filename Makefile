# `make demo` and `make test` do all the set-up by themselves, on Debian or Ubuntu with git, make and a Rust toolchain.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build programs demo up test soak bench fuzz lint fmt doc deny advisories

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## system packages and engine files (a second run downloads nothing)
	@scripts/setup.sh

build: setup ## the program, optimised
	cargo build --release --locked -p changegate

programs: build ## it, and the one that tests crash at named points: only the crates that know of points are built twice
	cargo build --release --locked -p changegate --features crash-points --bin changegate-crash-points

demo: build ## a made-up organisation through real engines, from Kafka to the ten riskiest changes
	target/release/changegate demo

up: build ## engines and all stages on this machine, until Ctrl-C
	target/release/changegate up

test: programs ## every test, against real engines
	cargo test --workspace --release --locked

soak: setup ## faults, simulation, planted bugs and fuzz in full: hours (`make soak PARTS="simulation crash"`)
	@scripts/soak.sh $(PARTS)

bench: ## ratios to what the work costs at least (see benches/README.md)
	@scripts/setup.sh --benches
	benches/run

fuzz: ## foreign bytes by chance and by coverage, ten minutes a target (`fuzz/run all 60` takes one)
	fuzz/run

lint: ## what .ci/run checks before the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release --locked -- -D warnings

fmt: ## formats the code
	cargo fmt --all

doc: ## documentation of all crates
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --release --locked

deny: ## licences, bans and sources of the dependencies, without network
	scripts/deny.sh check bans licenses sources

advisories: ## known vulnerabilities of the dependencies; fetches the advisory database
	scripts/deny.sh check advisories

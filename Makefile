# The two commands of the README, each complete on a fresh Debian 12 with Rust: `make test`, `make demo`.
.PHONY: help setup test demo bench lint

help:
	@echo 'make test   install what is missing, run every test'
	@echo 'make demo   install what is missing, play the incident against a practice world'
	@echo 'make bench  measure against a direct connection and haproxy'
	@echo 'make lint   format, clippy, and the checks of the house (cargo xtask)'

setup:
	@scripts/setup.sh

# make test ARGS=name_of_a_test   runs the tests whose name holds it.
test: setup
	@scripts/test.sh $(ARGS)

demo: setup
	@echo 'demo: building; the first time takes some minutes'
	@cargo build --package killick --bin killick --package killick-testkit --bins
	@cargo run --quiet --package killick-testkit --bin killick-demo

bench: setup
	@scripts/bench.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask

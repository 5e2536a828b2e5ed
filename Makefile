# The two commands of the README, each complete on a fresh Debian 12 with Rust: `make test`, `make demo`.
.PHONY: help setup test test-versions demo e2e clients kill-test fault-test regress bench bench-pg lint

help:
	@echo 'make test   install what is missing, run every test'
	@echo 'make demo   install what is missing, play the incident against a practice world'
	@echo 'make e2e    the real gateway against a practice world, with curl and the real client'
	@echo 'make clients  the database clients that people use, around the gateway and through it'
	@echo 'make kill-test  cut the power 100 times under load, then prove the record'
	@echo 'make fault-test  cut the network at every message of a database session, kill its ends 100 times'
	@echo 'make regress  PostgreSQL'"'"'s own regression suite: judged against what it wrote, and compared through the gateway'
	@echo 'make test-versions  the tests of databases with PostgreSQL 14, 16, 17 and 18 in place of Debian'"'"'s'
	@echo 'make bench  measure against a direct connection, haproxy and PgBouncer'
	@echo 'make bench-pg  the part of it for PostgreSQL'
	@echo 'make lint   format, clippy, and the checks of the house (cargo xtask)'

setup:
	@scripts/setup.sh

# make test ARGS=name_of_a_test   runs the tests whose name holds it.
test: setup
	@scripts/database_clients.sh
	@scripts/test.sh $(ARGS)

demo: setup
	@echo 'demo: building; the first time takes some minutes'
	@cargo build --package killick --bin killick --package killick-testkit --bins
	@cargo run --quiet --package killick-testkit --bin killick-demo

# make e2e ARGS=name_of_a_test   runs the end-to-end tests whose name holds it.
e2e: setup
	@scripts/railway-client.sh
	@scripts/database_clients.sh
	@cargo build --quiet --package killick --bin killick
	@cargo test --package killick --tests --no-fail-fast -- $(ARGS)

# make clients ARGS=jdbc   runs those whose name holds it.
clients: setup
	@scripts/database_clients.sh
	@cargo build --quiet --package killick --bin killick
	@cargo test --package killick --test database_clients --test database_tls --no-fail-fast -- $(ARGS)

# make kill-test KILLS=10   cuts less often.
KILLS ?= 100
kill-test: setup
	@cargo build --quiet --package killick --bin killick
	KILLICK_KILLS=$(KILLS) cargo test --package killick --test kill -- --nocapture

# make fault-test CUTS=50   cuts at fifty messages of each direction in place of all.
CUTS ?= 1000000
fault-test: setup
	@cargo build --quiet --package killick --bin killick
	KILLICK_CUTS=$(CUTS) KILLICK_FAULT_KILLS=$(KILLS) cargo test --package killick --test database_faults --test database_full_disk -- --nocapture --test-threads 2

# make regress FILES='portals rules'   runs those files alone.
FILES ?= all
regress: setup
	@scripts/regress-suite.sh
	@cargo build --quiet --package killick --bin killick
	KILLICK_REGRESS='$(FILES)' cargo test --package killick-testkit --test sql_regress -- --nocapture
	KILLICK_REGRESS='$(FILES)' cargo test --package killick --test database_regress -- --nocapture

# make test-versions VERSIONS='17 18'   with those alone.
VERSIONS ?=
test-versions: setup
	@scripts/test-versions.sh $(VERSIONS)

bench: setup
	@scripts/bench.sh

# make bench-pg STREAM_GB=10   with ten gigabytes through the gateway.
bench-pg: setup
	@scripts/bench.sh pg

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings -A clippy::arithmetic_side_effects
	cargo xtask

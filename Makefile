# The two commands that matter: `make demo` and `make test`. Both work from an empty checkout, as root or not.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
COUNTERSIGN := $(TARGET)/debug/countersign

.PHONY: help build demo test lint fmt clippy deny tests fuzz postgres eval gate openapi

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

build: ## the program, with debug assertions; the dependencies optimised
	$(CARGO) build --bin countersign

demo: build ## an invented company, three questions, and a service to ask more of (DEMO_ARGS=--no-serve ends after the questions)
	exec $(COUNTERSIGN) demo $(DEMO_ARGS)

GATE_SETS := demo-prose demo

test: postgres fmt clippy tests gate ## what CI runs: format, lints, every test on SQLite and PostgreSQL

lint: fmt clippy deny ## format, lints, licences and advisories

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# Heavy to build, so it is used when it is there and never installed behind your back.
deny:
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
		echo "skipped: cargo deny is not installed (cargo install cargo-deny --locked)"; \
	else \
		$(CARGO) deny --all-features check licenses bans sources; \
		if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny --all-features check advisories; \
		else echo "skipped: cargo deny check advisories (the advisory database cannot be reached)"; fi; \
	fi

# The tests start a PostgreSQL of their own, as their own user; they need its programs only.
postgres:
	@if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
		echo "PostgreSQL: found"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "PostgreSQL: installing Debian's package"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } \
			|| echo "skipped: every test on PostgreSQL (the package could not be installed)"; \
	else echo "skipped: every test on PostgreSQL (not installed, and only root can: apt-get install postgresql)"; fi

# Tests that lack something pass and say `skipped: ...`; the last lines repeat them by name. The filter takes away what the test
# runner says about tests that pass.
tests:
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; status=0; \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --workspace --no-fail-fast --success-output immediate --status-level skip 2>&1 | tee "$$log" \
			| grep --line-buffered -vE '^ *$$|^ +running [0-9]+ test|^ +test .* ok$$|^ +test result: ok|^ +stdout ─' || status=$$?; \
	else \
		$(CARGO) test --workspace --no-fail-fast -- --show-output 2>&1 | tee "$$log" || status=$$?; \
	fi; \
	echo; echo "Skipped:"; \
	grep -hE 'skipped: |^ +SKIP \[|\.\.\. ignored' "$$log" | sed -E 's/^ +/  /' | sort -u || echo "  nothing"; \
	exit $$status

fuzz: ## every parser against damaged and made-up input, for long (FUZZ_CASES=200000)
	COUNTERSIGN_FUZZ_CASES=$(or $(FUZZ_CASES),200000) $(CARGO) test --package ingest --test hostile -- makes_a_parser_panic

eval: ## measure retrieval and answers with the code that serves
	$(CARGO) run --package eval -- $(EVAL_ARGS)

# Only sets that ship with the repository, with an embedder that is the same everywhere: seconds, no download.
gate: ## fail when retrieval or answers got worse on the sets of the repository
	$(CARGO) run --package eval -- --embedder hashed --check --report target/eval-gate.json $(GATE_SETS)

openapi: build ## write openapi.json
	$(COUNTERSIGN) openapi --output openapi.json

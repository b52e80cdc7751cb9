# The commands of the project. Each works from an empty machine; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo build test stop benchmark clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Start a three-node cluster here, load the sample, run queries, move a shard
	@Scripts/demo

build: ## Build the release binary, .build/release/shoal
	@Scripts/install-dependencies
	@Scripts/build

test: ## Install what the tests need, then run them all
	@Scripts/test

stop: ## Stop the cluster that `make demo` started
	@if [ -x .build/release/shoal ]; then .build/release/shoal down; fi

benchmark: ## Measure ingest, queries, memory and disk over HTTP, and the index beside hnswlib
	@Benchmarks/run

clean: stop ## Stop the cluster, remove its data and everything that was built
	rm -rf data .build .venv-tests Benchmarks/.venv

# Everything a developer types. Targets with a `##` comment make up the help.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# One way of compiling for every step: the binary, the tests, the linter and the
# harnesses share one cache, and each package is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

GOLANGCI_VERSION := v2.15.0
LIGHTHOUSE_VERSION := 12.8.2
GO_VERSION := $(shell go env GOVERSION)
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/refill
# One build of the linter per version and Go release, shared by every clone.
LINT_DIR := $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION)-$(GO_VERSION)
LINT := $(LINT_DIR)/golangci-lint
TEMPL := go tool templ
TESTPG := go run ./models/modelstest/cmd/testpg

STEP := .ci/step
BINARY := .cache/refill
FUZZTIME ?= 30s
SIZES ?= 100000 1000000
MEMORY_SECONDS ?= 20
TRACE ?= ../shared/data/azure_llm_conversation_2023.csv

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

# --- the one command before a push -----------------------------------------

.PHONY: test
test: ## Install what is missing, then check and test everything, as CI does
	@$(STEP) 'tools' .ci/install database browser node
	@$(STEP) 'modules' $(MAKE) -s modules
	@$(STEP) 'build' go build ./...
	@$(STEP) 'generated code' .ci/generated
	@$(STEP) 'linter' $(MAKE) -s $(LINT)
	@$(STEP) 'format' $(MAKE) -s check-format
	@$(STEP) 'lint' $(MAKE) -s lint
	@$(STEP) 'go tests, both databases' $(MAKE) -s test-go
	@$(STEP) 'browser tests' $(MAKE) -s e2e

.PHONY: test-go
# govet is one of the linters; no test needs what debuggers read.
test-go: ## Run the Go tests on both databases (PKG=./billing/... for some, RUN=name for one)
	@TMPDIR=$$(.ci/scratch) $(TESTPG) go test -shuffle=on -vet=off -ldflags=-w -timeout 20m $(if $(RUN),-run '$(RUN)') $(or $(PKG),./...)

.PHONY: race
race: ## Run the tests of the domain under the race detector
	@.ci/install go-race database
	@CGO_ENABLED=1 $(TESTPG) go test -race -timeout 30m $(or $(PKG),./models/... ./billing/...)

.PHONY: modules
modules:
	@go mod download
	@if [ -n "$${CI:-}" ]; then go mod verify; fi
	@.ci/dependencies

# --- generating, formatting, linting ----------------------------------------

.PHONY: generate
generate: ## Format the templates and generate their Go
	@for pass in 1 2 3; do $(TEMPL) fmt -log-level error views; done # one pass can open lines that the next one indents
	@$(TEMPL) generate -log-level error -path views

.PHONY: format
format: $(LINT) ## Format all Go
	@$(LINT) fmt

.PHONY: check-format
check-format: $(LINT)
	@$(LINT) fmt --diff

.PHONY: lint
lint: $(LINT) ## Lint, the arrows between packages included (PKG=./billing/... for some)
	@$(LINT) run $(PKG)

$(LINT):
	@echo 'building golangci-lint $(GOLANGCI_VERSION), once for this machine: about three minutes'
	@mkdir -p $(LINT_DIR)
	@GOBIN=$(LINT_DIR) GOFLAGS= CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.PHONY: golden
golden: ## Rewrite the golden files and show what changed
	@go test -count=1 $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -args -update
	@git --no-pager diff --stat -- '*/testdata/*'

# --- running ------------------------------------------------------------------

.PHONY: dev
dev: ## Run the demo on port 8080 and reload it on every change
	@mkdir -p .cache/dev
	@$(TEMPL) generate --watch --proxy=http://127.0.0.1:8080 --open-browser=false --cmd='go run . demo --addr 127.0.0.1:8080 --data .cache/dev'

.PHONY: build
build: ## Build the static binary into .cache/refill
	@mkdir -p .cache
	@go build -o $(BINARY) .

.PHONY: image
image: ## Build the container image
	docker build -t refill:dev .

# --- slower looks ----------------------------------------------------------------

e2e/node_modules: e2e/package-lock.json
	@.ci/install node
	@cd e2e && npm ci --ignore-scripts --no-progress
	@touch $@

.PHONY: e2e
e2e: build e2e/node_modules ## Run the browser tests in Chromium
	@.ci/install browser database
	@cd e2e && TMPDIR=$$(../.ci/scratch) REFILL_BINARY=$(CURDIR)/$(BINARY) node --test --test-concurrency=2

.PHONY: e2e-full
e2e-full: build e2e/node_modules ## The same on PostgreSQL too, every page in every theme and width
	@.ci/install browser database
	@cd e2e && REFILL_BINARY=$(CURDIR)/$(BINARY) E2E_FULL=1 node --test --test-concurrency=2
	@$(TESTPG) -- env -C e2e REFILL_BINARY=$(CURDIR)/$(BINARY) E2E_FULL=1 node --test --test-concurrency=2

LIGHTHOUSE_DIR := $(CACHE)/lighthouse-$(LIGHTHOUSE_VERSION)

.PHONY: lighthouse
lighthouse: build e2e/node_modules ## Hold the first pages to Lighthouse's bars, on its slow phone (six quiet minutes)
	@.ci/install browser
	@[ -d $(LIGHTHOUSE_DIR) ] || npm install --silent --no-save --ignore-scripts --no-audit --no-fund --prefix $(LIGHTHOUSE_DIR) lighthouse@$(LIGHTHOUSE_VERSION)
	@cd e2e && LIGHTHOUSE=$(LIGHTHOUSE_DIR)/node_modules/lighthouse/cli/index.js REFILL_BINARY=$(CURDIR)/$(BINARY) node --test lighthouse.mjs

# The tests whose size REFILL_FAULTS raises.
FAULTS := TestCreditsFollow|TestEvery|TestReconcil|TestManyRenew|TestAClockThat|TestACaptureRaces|TestForged|TestPaymentsThatClear|TopUp|TestAHundredCharges|TestLedgerBehaves|TestAFamilys|TestHowABatch|TestAWalletIsLinear|TestNobodyMints|TestTheLimitBeyond|TestTheSalesPage

# What a long run says of itself: what it tried, by which seed, what it found.
REPORT := grep -vE '^(=== |PASS$$|testing: warning)|^ +--- PASS|\[(no tests? |rapid\] OK)'
RUN_SEED = $(or $(SEED),$(shell date +%j%H%M))

.PHONY: faults
faults: ## Run the fault runs at their nightly size (SEED=n, RUN=name for one)
	@.ci/install database
	@REFILL_FAULTS=1 SEED=$(RUN_SEED) $(TESTPG) go test -count=1 -v -timeout 180m -parallel 6 -run '$(or $(RUN),$(FAULTS))' $(or $(PKG),./billing/...) | $(REPORT)

# The disk-full runs mount small file systems of their own, in a mount namespace
# that ends with the run; who is not root gets one in a user namespace.
UNSHARE := unshare --mount $(if $(filter-out 0,$(shell id -u)),--user --map-current-user --keep-caps)

.PHONY: crash
crash: build ## Kill, cut and fill under load: KILLS=2000 (about an hour and a half on two quiet cores), SEED=n, RUN=name for one
	@.ci/install database
	@KILLS=$(or $(KILLS),2000) REFILL_BINARY=$(CURDIR)/$(BINARY) $(UNSHARE) go test -count=1 -v -parallel 1 -timeout 12h -run '$(or $(RUN),.)' ./handlers/crash | grep -vE '^=== '

.PHONY: mutations
mutations: ## Break the program in each guarded place and see the tests fail (DEFECT=words of its name for one)
	@.ci/install database
	@MUTATIONS=1 $(TESTPG) go test -count=1 -v -timeout 120m -run TestEveryDefect ./billing/mutation

# What attacks the program from outside, and the tables of who may do what.
SECURITY := TestAnAnswersTime|TestHostile|TestNothingOfAnAgency|TestWhatPeopleWrote|TestNothingLeadsElsewhere|TestNextLeads|TestTheHostHeader|TestFormsNeed|TestHeadersStand|TestEveryRoute|TestNoAddressTakes|TestNothingForeign|TestEveryOperation|TestNoOperationTakes|TestAKey|TestAScope|TestPublicAddresses|TestOnlyPublicAddresses|TestCheckURL|TestNothingReachesThisMachine|TestQueries|TestPlantedQueries|Fuzz

.PHONY: security
security: build e2e/node_modules ## Attack it: hostile requests, planted marks, tables, parsers, a browser (REQUESTS=100000, SEED=n, FUZZTIME=30s, RUN=name for one)
	@.ci/install browser database
	@LINKS=2 TIMINGS=1000 REQUESTS=$(or $(REQUESTS),100000) SEED=$(RUN_SEED) go test -count=1 -v -timeout 180m -run '$(or $(RUN),$(SECURITY))' \
	  ./handlers ./handlers/api ./billing ./billing/hook ./billing/checkout ./models ./models/querytext | $(REPORT)
	@$(if $(RUN),true,.ci/fuzz $(FUZZTIME))
	@$(if $(RUN),true,cd e2e && REFILL_BINARY=$(CURDIR)/$(BINARY) node --test hostile.test.mjs)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## Measure the charge path on both databases, beside pgbench on the same durable server
	@.ci/install database
	@$(TESTPG) -durable $(BINARY) bench

.PHONY: bench-growth
bench-growth: build ## Measure pages, charges, memory and start-up as history grows (SIZES="100000 1000000", MEMORY_SECONDS=20)
	@.ci/install database
	@$(TESTPG) -durable .ci/growth $(BINARY) '$(MEMORY_SECONDS)' $(SIZES)

.PHONY: replay-trace
replay-trace: ## Charge an hour of real traffic (TRACE=file) on both databases, twice, and audit
	@test -f $(TRACE) || { echo 'there is no trace at $(TRACE); TRACE=file names one' >&2; exit 1; }
	@.ci/install database
	@REFILL_TRACE=$(abspath $(TRACE)) $(TESTPG) go test -count=1 -v -timeout 30m -run '^TestReplay' .

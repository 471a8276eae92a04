# Telltale's own commands. `make` alone prints them.

GO       ?= go
BIN      ?= ./telltale
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   = -s -w -X main.version=$(VERSION)
LINTER    = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.1.4
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help build run test check lint fuzz golden flood bench reliability govulncheck

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the one static binary, ./telltale
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/telltale

run: build ## build and run the server on a data folder of its own, ./telltale-data
	$(BIN) serve --allow-private

# The engine inside is C turned into Go, with locks of its own that the race
# detector would watch at ten times its price. Our own code is watched whole.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false

test: tools ## install what the tests need, and run them all with the race detector
	$(GO) vet ./...
	$(GO) test $(RACE) -timeout 30m ./...
	cd bench && $(GO) vet ./... && $(GO) test -race ./...
	cd crashlab && $(GO) vet ./... && $(GO) test ./... && $(GO) run . short $(LABFLAGS)

.PHONY: tools
tools: # the race detector needs cgo, and cgo a C compiler; the tests of the pages need Chromium, Vero's npm package Node.js, and the second engine a PostgreSQL server
	@command -v gcc >/dev/null || { apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }
	@command -v node >/dev/null || { apt-get update -qq && apt-get install -y -qq nodejs; }
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || { apt-get update -qq && apt-get install -y -qq postgresql; }
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }

check: test lint ## everything that must hold before a change lands: tests, linters, tidy modules
	$(GO) mod tidy -diff
	cd bench && $(GO) mod tidy -diff
	cd crashlab && $(GO) mod tidy -diff

lint: ## run the linters; .golangci.yml says why each is there
	$(GO) run $(LINTER) run ./...
	cd bench && $(GO) run $(LINTER) run --config ../.golangci.yml ./...
	cd crashlab && $(GO) run $(LINTER) run --config ../.golangci.yml ./...

govulncheck: ## look for known vulnerabilities in what the product calls; needs https://vuln.go.dev, which CI does not reach, so that it is no part of check
	$(GO) run $(VULNCHECK) ./...

fuzz: ## run every fuzz target for FUZZTIME (20s)
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

golden: ## write the golden files and generated pages anew; read the diff before committing it
	$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update

flood: ## show an open delivery log 100 new rows a second for a minute: it must answer, with at most 300 rows
	$(GO) test ./internal/browser -count=1 -run '^TestATabStaysResponsive$$' -flood 1m

bench: ## measure the marks of docs/benchmarks.md, with the yardstick beside every run (minutes)
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/telltale
	cd bench && $(GO) run . all --server ../$(BIN)

reliability: tools ## break the program in every way of RELIABILITY.md, and write that page (hours)
	cd crashlab && $(GO) run . all --json found.json --report ../RELIABILITY.md

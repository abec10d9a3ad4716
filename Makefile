# `make` alone prints what there is.

MODULES  := proto pkg services/receipts-api services/receipts-worker tools
PROGRAMS  = $(patsubst %/main.go,./%,$(wildcard services/*/cmd/*/main.go tools/cmd/*/main.go))
VERSION   = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

GOLANGCI_VERSION    := v2.15.0
GOLANGCI            := bin/tools/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK_VERSION := v1.9.0
# The race detector leaves out the simulated Redis and its Lua, which run under
# one lock and would take most of the simulation's time. (Not inlined, so that
# what it watches elsewhere is not compiled without it here.)
UNWATCHED           := -gcflags='github.com/alicebob/miniredis/...=-race=false -l' -gcflags='github.com/yuin/gopher-lua/...=-race=false'
FUZZTIME            ?= 30s
HISTORIES           ?= 20000

.DEFAULT_GOAL := help
.PHONY: help run test check build bench sim fuzz vuln

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## the whole system on one terminal, nothing to install (MAILBOX=dir|seed:N, REDIS_URL=redis://…)
	bin/devstack $(if $(MAILBOX),--mailbox '$(MAILBOX)')

test: ## every test, with the race detector; installs what they need
	tools/install-test-deps.sh
	CGO_ENABLED=1 go test -race $(UNWATCHED) -shuffle=on -timeout=10m work

check: $(GOLANGCI) ## format, vet, lint, each module alone, tidy
	$(GOLANGCI) fmt --diff $(MODULES)
	@set -e; for m in $(MODULES); do echo "GOWORK=off go -C $$m vet ./..."; GOWORK=off go -C $$m vet ./...; done
	$(GOLANGCI) run $(MODULES:%=./%/...)
	@set -e; for m in $(MODULES); do echo "GOWORK=off go -C $$m mod tidy -diff"; GOWORK=off go -C $$m mod tidy -diff; done

build: ## every program, static, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ $(PROGRAMS)

bench: ## Go's benchmarks
	go test -run '^$$' -bench . -benchmem work

sim: ## the queue's simulation at length (HISTORIES=20000)
	go test -run '^TestSimulation$$' -timeout 3h ./pkg/queue -sim.histories $(HISTORIES)

fuzz: ## every fuzzer for a while (FUZZTIME=30s)
	@set -e; grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' $(MODULES) | while IFS=: read -r file _ func; do \
		go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
	done

vuln: ## known faults in what we depend on (needs the database's address)
	@set -e; for m in $(MODULES); do echo "govulncheck $$m"; (cd $$m && go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...); done

$(GOLANGCI):
	mkdir -p $(@D)
	GOWORK=off GOBIN='$(CURDIR)/$(@D)' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(@D)/golangci-lint $@

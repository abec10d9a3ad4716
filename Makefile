# `make` alone prints what there is.

MODULES  := proto pkg services/receipts-api services/receipts-worker tools
PROGRAMS  = $(patsubst %/main.go,./%,$(wildcard services/*/cmd/*/main.go tools/cmd/*/main.go))
VERSION   = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

GOLANGCI_VERSION    := v2.15.0
GOLANGCI            := bin/tools/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK_VERSION := v1.9.0
export BINARY       ?= compiled
# The race detector leaves out the simulated Redis and its Lua, which run under
# one lock and would take most of the simulation's time. (Not inlined, so that
# what it watches elsewhere is not compiled without it here.)
UNWATCHED           := -gcflags='github.com/alicebob/miniredis/...=-race=false -l' -gcflags='github.com/yuin/gopher-lua/...=-race=false'
FUZZTIME            ?= 30s
HISTORIES           ?= 20000
MAILS               ?= 100000
TESTED              ?= tested
BUILT               ?= deploy/.images

.DEFAULT_GOAL := help
.PHONY: help run test check build images demo demo-down prod-up verify drill backup restore restore-check test-compose bench sim fuzz vuln

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## the whole system on one terminal, nothing to install (MAILBOX=dir|seed:N, REDIS_URL=redis://…)
	bin/devstack $(if $(MAILBOX),--mailbox '$(MAILBOX)')

test: ## every test, with the race detector; installs what they need
	tools/install-test-deps.sh
	CGO_ENABLED=1 go test -race $(UNWATCHED) -shuffle=on -timeout=20m work

check: $(GOLANGCI) ## format, vet, lint, each module alone, tidy
	$(GOLANGCI) fmt --diff $(MODULES)
	@set -e; for m in $(MODULES); do echo "GOWORK=off go -C $$m vet ./..."; GOWORK=off go -C $$m vet ./...; done
	$(GOLANGCI) run $(MODULES:%=./%/...)
	@set -e; for m in $(MODULES); do echo "GOWORK=off go -C $$m mod tidy -diff"; GOWORK=off go -C $$m mod tidy -diff; done

build: ## every program, static, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ $(PROGRAMS)

images: $(if $(filter prebuilt,$(BINARY)),bin/third-party-notices.txt) ## images (BINARY=prebuilt: from bin/, for who cannot pull a Go image)
	RECEIPTS_VERSION='$(VERSION)' docker compose --profile '*' build
	@echo '$(VERSION)' >$(BUILT)

bin/third-party-notices.txt: build
	bin/notices bin/receipts-api bin/receipts-worker bin/verify bin/gmailsim bin/backup >$@

# Under a version of its own: production's next prod-up must not find these images.
demo: BUILT = /dev/null
demo: VERSION := $(VERSION)-demo
demo: images bin/token ## what is deployed, with simulated Gmail, beside whatever runs (DEMO=name: another one)
	@RECEIPTS_VERSION='$(VERSION)' deploy/demo.sh up '$(DEMO)'

demo-down: ## end the demo, and remove what it stored (DEMO=name)
	@deploy/demo.sh down '$(DEMO)'

# Deploys the images that were built last, so that settings change without new ones.
prod-up: ## deploy the images, and prove it; where anything is wrong, back to what ran before
	RECEIPTS_VERSION="$${RECEIPTS_VERSION:-$$(cat $(BUILT) 2>/dev/null || echo '$(VERSION)')}" deploy/prod-up.sh

# Both look at what prod-up deployed last, by the program that it left there, or
# else at what docker compose started from the files here.
DEPLOYED = $(and $(wildcard deploy/.deployed/compose.yaml),$(wildcard deploy/.deployed/verify))
VERIFY   = $(if $(DEPLOYED),deploy/.deployed/verify,bin/verify)
verify drill: export RECEIPTS_VERSION ?= $(VERSION)
verify drill: export COMPOSE_FILE ?= $(if $(DEPLOYED),deploy/.deployed/compose.yaml,compose.yaml)

verify: $(if $(DEPLOYED),,bin/verify) ## check what runs, from here and from inside (BUSINESS=id: with a real sync; OUTPUT=json)
	@$(VERIFY) --deployed $(if $(OUTPUT),--output '$(OUTPUT)') $(if $(BUSINESS),--business '$(BUSINESS)')

drill: $(if $(DEPLOYED),,bin/verify) ## stop and kill workers of what runs, see that nothing is lost, and put them back
	@. deploy/lock.sh; $(VERIFY) --deployed --drill

, := ,
.PHONY: bin/verify bin/token
bin/verify:
	@[ "$$(docker compose ps --all --quiet)" ] || { \
		echo 'nothing is deployed here: make prod-up' >&2; \
		$(if $(filter json,$(OUTPUT)),echo '{"ok": false$(,) "error": "nothing is deployed here: make prod-up"}';) \
		exit 3; }
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./tools/cmd/verify

bin/token:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./tools/cmd/token

backup: ## Redis and the blobs of what runs, into backups/, and to BACKUP_URL
	deploy/backup.sh

restore: ## what a backup holds in the place of what runs (FROM=backups/… or s3://…)
	deploy/restore.sh '$(FROM)'

restore-check: ## load the newest backup beside what runs, and count what is in it
	deploy/restore-check.sh

test-compose: ## the compose stack for real: deployed, broken, restored (RUN=regexp: some of its tests)
	tools/install-docker.sh
	$(MAKE) images BINARY=prebuilt VERSION='$(TESTED)' BUILT=/dev/null
	TESTED='$(TESTED)' REDIS_IMAGE=$${REDIS_IMAGE:-$$(tools/redis-image.sh)} go test -count=1 -timeout=50m -parallel=4 -tags=compose -run '$(RUN)' ./tools/composetest

bench: ## Go's benchmarks, and a worker's memory at a large sync (MAILS=100000)
	go test -run '^$$' -bench . -benchmem work
	go test -count=1 -v -timeout=60m -run '^TestMemory$$' ./tools/e2e -memory.mails $(MAILS)

sim: ## the queue's simulation at length (HISTORIES=20000)
	go test -run '^TestSimulation$$' -timeout 3h ./pkg/queue -sim.histories $(HISTORIES)

fuzz: ## every fuzzer for a while (FUZZTIME=30s), and a thousand damaged PDFs
	go test -run '^TestMutations$$' ./pkg/receiptmail/internal/pdf -pdf.mutations 1000
	@set -e; grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' $(MODULES) | while IFS=: read -r file _ func; do \
		go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
	done

vuln: ## known faults in what we depend on (needs the database's address)
	@set -e; for m in $(MODULES); do echo "govulncheck $$m"; (cd $$m && go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...); done

$(GOLANGCI):
	mkdir -p $(@D)
	GOWORK=off GOBIN='$(CURDIR)/$(@D)' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(@D)/golangci-lint $@

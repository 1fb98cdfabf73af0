# Bare `make` lists the targets. `make run` and `make test` need Go and nothing else.
.DEFAULT_GOAL := help
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINT    := bin/golangci-lint
LINT_VERSION := v2.15.0
NATS    := bin/nats-server
NATS_VERSION := v2.15.2
# A count, never a duration: up to Go 1.26 a run that ends by the clock can fail with "context deadline
# exceeded" and no input at all (go.dev/issue/75804).
FUZZ_TIME ?= 1000000x
# For a package: the race detector on a machine with ten times as much to do as processors takes more than Go's ten minutes. A test that
# hangs ends the run then, with all stacks. Each wait of a test ends before that.
TEST_TIMEOUT ?= 30m
# Each fuzz target with its package. Minimizing is bounded: left alone, it eats the time of a short run.
FUZZ := ./protocol:FuzzReader ./protocol:FuzzRESPAgainstRedcon ./protocol:FuzzFrames ./protocol:FuzzRuns ./protocol:FuzzLines ./protocol:FuzzEncodings ./protocol:FuzzEvents ./protocol:FuzzObjects ./broker:FuzzMatch ./broker:FuzzLongGlobs ./broker:FuzzIndex \
	./internal/acl:FuzzLoad ./internal/acl:FuzzSetUser ./internal/filter:FuzzCompile ./internal/filter:FuzzMatch ./internal/web:FuzzRoutes ./internal/web:FuzzFrames ./internal/web:FuzzStreams ./internal/log:FuzzIndexBlock ./internal/log:FuzzIndexFile ./internal/log:FuzzIndexAdd ./internal/log:FuzzSegment ./internal/log:FuzzMeta ./internal/log:FuzzLayers ./client:FuzzReply ./client:FuzzEvents ./client:FuzzPublisher \
	./internal/keyargs:FuzzParse ./internal/keyargs:FuzzRead ./internal/position:FuzzParse ./internal/bench:FuzzParser ./internal/cli:FuzzPrintReply ./internal/stream:FuzzParseID ./internal/stream:FuzzDecoder ./internal/stream:FuzzRecord ./internal/stream:FuzzLoad \
	./internal/connect:FuzzTemplates ./internal/connect:FuzzAddresses ./internal/connect/mqtt:FuzzClippedConn

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

build: ## build the binary, bin/conch
	go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/conch .

# Packages that arm64-test runs: no socket, no file, no clock, and an emulator has them through in minutes.
PURE := ./protocol ./internal/position ./internal/keyargs

PAGES := serve sub pub do ping top health bench log connect cluster version man completion
man: build ## write the manual pages, bin/man/conch*.1
	mkdir -p bin/man
	bin/conch man > bin/man/conch.1
	for page in $(PAGES); do bin/conch man $$page > bin/man/conch-$$page.1 || exit 1; done

run: build ## serve on 0.0.0.0:8889; ARGS="127.0.0.1:7777 --log-level trace" for more
	bin/conch $(ARGS)

test: ## all tests that need nothing but Go
	go test -timeout $(TEST_TIMEOUT) ./...

race: ## the same under the race detector, then once more on one processor
	go test -timeout $(TEST_TIMEOUT) -race -count=1 ./...
	GOMAXPROCS=1 go test -p 2 -timeout $(TEST_TIMEOUT) -race -count=1 ./...

order: ## the test of the one order, for ten minutes of random load
	go test -race ./server -run TestOneOrder -order.for=10m -timeout 20m

e2e: ## real telnet, nc, redis-cli, shells, the README's programs, and answers against redis-server (test/compat/install; Debian: curl telnet netcat-openbsd openssl redis zsh fish prometheus chromium)
	go test -timeout $(TEST_TIMEOUT) -count=1 -tags e2e ./test/e2e

connect-test: $(NATS) ## connectors beside real servers (Debian: mosquitto rabbitmq-server redis)
	PATH="$(CURDIR)/bin:$$PATH" go test -timeout $(TEST_TIMEOUT) -count=1 -tags connect ./test/connect ./internal/connect/nats $(ARGS)

CRASHES ?= 200
connect-crash: $(NATS) ## CRASHES kills (200) of conch and of Kafka, JetStream and Redis, compared in the end; ARGS="-crash.seed 1" replays
	PATH="$(CURDIR)/bin:$$PATH" go test -timeout 0 -count=1 -v -tags connect ./test/connect -run Crashes -crashes $(CRASHES) $(ARGS)

$(NATS):
	GOBIN=$(CURDIR)/bin go install github.com/nats-io/nats-server/v2@$(NATS_VERSION)

cluster: build ## three nodes with one order, on 127.0.0.1:8891 to 8893, until Ctrl-C; their directories are in bin/cluster
	@mkdir -p bin/cluster; trap 'kill 0' INT TERM; \
	for i in 1 2 3; do \
		bin/conch 127.0.0.1:889$$i --dir bin/cluster/n$$i --cluster-name n$$i --cluster-listen 127.0.0.1:890$$i \
			--cluster-bootstrap n1=127.0.0.1:8901,n2=127.0.0.1:8902,n3=127.0.0.1:8903 $(ARGS) & \
	done; wait

# Root and iproute2 are for the partition: without them the table says that there was none.
MINUTES ?= 1
SEED ?= 0
soak: ## load and faults of all kinds for MINUTES (1), with the order and the account checked; SEED replays
	go test -count=1 -v -tags soak -timeout 0 ./test/soak -run TestSoak -minutes $(MINUTES) -seed $(SEED) $(ARGS)

N ?= 10000
crash: ## N crashes (10000) of the log, on a disk that loses, reorders and tears what was not synced; ARGS="-crash.seed 1" replays
	go test -count=1 -v ./internal/log -run TestCrashes -timeout 0 -crash.runs $(N) $(ARGS)

cluster-model: ## N plans of faults (10000) for the nodes of a cluster in one process; ARGS="-faults.seed 1" replays
	go test -count=1 -v ./internal/cluster -run TestFaults -timeout 0 -faults.runs $(N) $(ARGS)

# As root; in CI with two. Debian: iproute2 nftables
cluster-faults: N = 10
cluster-faults: ## N plans of faults (10) for three processes in network namespaces; ARGS="-faults.seed 1" replays
	go test -count=1 -v -tags cluster ./test/cluster -timeout 0 -faults.runs $(N) $(ARGS)

cluster-behind: N = 10000000
cluster-behind: ## a node that comes back after N entries (10000000); some minutes, 3 GB of disk
	go test -count=1 -v -tags cluster ./test/cluster -run TestFarBehind -timeout 0 -behind $(N) -behind.time 1h $(ARGS)

compat: ## real clients in Go, Node.js, Python, Ruby, PHP, on one conch and on a node of a cluster (once: test/compat/install)
	test/compat/run $(ARGS)
	test/compat/run --cluster $(ARGS)

apps: ## real applications in two processes each (once: test/apps/install); ARGS="-run TestApps/NestJS -redis" for less
	TEST_TIMEOUT=$(TEST_TIMEOUT) test/apps/run $(ARGS)

lint: $(LINT) ## golangci-lint, pinned
	$(LINT) run ./...

$(LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

fmt: $(LINT) ## format the source
	$(LINT) fmt

CYCLONEDX := bin/cyclonedx-gomod
$(CYCLONEDX):
	GOBIN=$(CURDIR)/bin go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

release: $(CYCLONEDX) ## archives and packages of the commit for all systems, dist; ARGS="-verify" builds one twice
	go run ./packaging/release -bom $(CYCLONEDX) -pages "$(PAGES)" $(ARGS)

# As root, on a machine without conch. Debian: buildah lintian systemd man-db
packages-test: ## install, upgrade, remove and purge the Debian package; build and run the container image
	packaging/debian/test
	packaging/container/test

# In front of all that may write into the tree.
packages:
	$(MAKE) arm64-test
	$(MAKE) release ARGS=-verify
	$(MAKE) packages-test

# Without cgo, and so without the race detector. Debian: qemu-user
arm64-test: ## tests of pure packages for linux/arm64, under qemu-user
	GOARCH=arm64 CGO_ENABLED=0 go test -timeout $(TEST_TIMEOUT) -exec qemu-aarch64 $(PURE)

# What a release is for, but for the system that the tests run on. Nothing of it runs here.
cross: ## compile for the other systems
	GOOS=linux GOARCH=arm64 go build -trimpath ./...
	GOOS=darwin GOARCH=arm64 go build -trimpath ./...
	GOOS=darwin GOARCH=amd64 go build -trimpath ./...
	GOOS=windows GOARCH=amd64 go build -trimpath ./...

bench: ## benchmarks, with allocations
	go test -run '^$$' -bench . -benchmem ./...
	cd test/bench && go test -run '^$$' -bench . -benchmem ./fanin

bench-peers: ## conch beside redis-server, nats-server and valkey-server; see docs/performance.md
	cd test/bench && go run ./peers $(ARGS)

bench-cluster: ## three nodes beside JetStream R3 and one conch; ARGS="--kills 100 --behind 10000" for long; see docs/performance.md
	cd test/bench && go run ./cluster $(ARGS)

bench-stalls: ## what attacks do to others, on conch and redis-server; ARGS="--servers conch --only 1"; see docs/performance.md
	cd test/bench && go run ./stalls $(ARGS)

bench-connect: $(NATS) ## messages/s and CPU of connectors beside a loop over the same library (Debian: rabbitmq-server redis)
	PATH="$(CURDIR)/bin:$$PATH" go test -tags connect ./test/connect -count=1 -v -run 'TestCost$$' -cost $(ARGS)

bench-routers: ## Watermill's router over streams of Redis, as bench-connect; ARGS="-benthos BINARY" has Benthos, too; see docs/performance.md
	cd test/bench && go run ./router $(ARGS)

bench-client: ## package client beside go-redis and rueidis, on conch and redis-server; see docs/performance.md
	cd test/bench && go run ./clients $(ARGS)

fuzz: ## each fuzz target for FUZZ_TIME inputs (1000000x)
	@for f in $(FUZZ); do \
		echo "go test $${f%%:*} -fuzz $${f##*:} -fuzztime $(FUZZ_TIME)"; \
		go test $${f%%:*} -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 50x || exit 1; \
	done

bench-test: ## tests of the comparison itself, a module of its own
	cd test/bench && go vet ./... && go test -timeout $(TEST_TIMEOUT) ./...

cover: ## test coverage, cover.out and a summary
	go test -coverpkg ./... -coverprofile cover.out ./...
	go tool cover -func cover.out | tail -1

ci: test bench-test race lint packages e2e connect-test compat apps ## what a change must pass
	$(MAKE) cluster-faults N=2
	$(MAKE) fuzz FUZZ_TIME=10000x

.PHONY: help build man run test race order e2e connect-test cluster connect-crash soak crash cluster-model cluster-faults cluster-behind compat apps lint fmt release packages packages-test arm64-test cross bench bench-peers bench-cluster bench-stalls bench-client bench-connect bench-routers bench-test fuzz cover ci

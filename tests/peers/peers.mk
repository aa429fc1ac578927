# Independent servers that the contract suite is run against, and linters: pinned, installed under target/peers, loopback
# only.
# `make peers` is quick when they are there: the stamp's name is a checksum of what was asked for.

PEERS := target/peers
PEERS_SUM := $(shell cat tests/peers/requirements.txt tests/peers/package-lock.json tests/peers/install.sh | cksum | tr ' ' '-')
PEERS_STAMP := $(PEERS)/installed-$(PEERS_SUM)

.PHONY: peers
peers: $(PEERS_STAMP) ## Install the servers, linters and browser that tests need (python3, node, npm, apt; two minutes, once)

$(PEERS_STAMP):
	sh tests/peers/install.sh $(PEERS)
	touch $@

# A browser and promtool, for the tests of pages and metrics.
BROWSER := target/browser
BROWSER_SUM := $(shell cat tests/browser/install.sh tests/browser/package-lock.json | cksum | tr ' ' '-')
BROWSER_STAMP := $(BROWSER)/installed-$(BROWSER_SUM)

peers: $(BROWSER_STAMP)

$(BROWSER_STAMP):
	sh tests/browser/install.sh $(BROWSER)
	touch $@

include tests/peers/peers.mk

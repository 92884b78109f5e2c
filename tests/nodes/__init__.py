"""Real nodes for tests, demonstrations and benchmarks: bitcoind, anvil and PostgreSQL, all on 127.0.0.1."""

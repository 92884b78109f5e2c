"""A chain family that only tests know: one package, and one entry that a test puts into the registry."""

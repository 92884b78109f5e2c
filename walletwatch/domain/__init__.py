"""What the exchange means: frozen values and pure functions over `chains.model`, no I/O."""

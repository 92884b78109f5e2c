"""Observes blockchains: turns the answers of nodes into one common language of facts (`chains.model`).

Knows nothing of rules, people or alerts, and never imports `walletwatch`. The families (`chains.bitcoin`,
`chains.evm`, `chains.tron`) never import each other; `chains.registry` is the one door to them.
"""

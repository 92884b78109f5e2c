"""Bitcoin and its test networks: what a node says about blocks and the mempool, as facts about the watch set.

`bitcoin` (python-bitcoinlib) is imported only here. Its `SelectParams` is global to the process and it knows no
taproot, so networks and addresses are our own; its script and transaction parsers are used on single transactions.
"""

"""What a unit of gas was paid, on real transactions."""

from __future__ import annotations

from chains.evm.client import BlockReader
from chains.evm.params import NETWORKS
from chains.evm.source import read_facts
from chains.model import AccountTransaction
from data.ethereum.samples import block_18000000, exchange_accounts, sample
from walletwatch.rules.wallet_profile import fee_rate


def test_the_price_paid_is_known_of_every_mined_transaction() -> None:
    """Of EIP-1559 transactions only the caps were known, so that `fee_anomaly` was undetermined for nearly each
    payment of a month and told somebody of each.
    """
    node = block_18000000()
    receipts = {r["transactionHash"]: r for r in sample("receipts_ethereum_18000000_whole_block")}
    facts = read_facts(BlockReader(NETWORKS[1]), node, 18_000_000, exchange_accounts())
    sent = [tx for tx in facts.transactions if isinstance(tx, AccountTransaction) and tx.fee]
    kinds = {tx.signing.as_dict()["type"] for tx in sent if tx.signing}
    assert kinds >= {0, 2}
    for tx in sent:
        assert fee_rate(tx) == int(receipts["0x" + tx.txid.hex()]["effectiveGasPrice"], 16) // 10**6

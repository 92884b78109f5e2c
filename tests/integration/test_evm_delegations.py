"""EIP-7702 on a real node: an account of ours that is given code."""

from __future__ import annotations

import pytest
from eth_account import Account

from chains.evm.source import EvmSource, open_source
from chains.model import BlockFacts, ChainId
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.anvils import CHAIN_ID, Anvil

pytestmark = pytest.mark.anvil

KEY = "0x" + "42" * 32
NOBODY = "0x" + "00" * 20
DELEGATE = "0x" + "de" * 20


def delegate(node: Anvil, address: str, *, nonce: int, chain: int = CHAIN_ID) -> str:
    """Have another account carry an authorisation signed by KEY; the transaction's hash."""
    signed = Account.sign_authorization({"chainId": chain, "address": address, "nonce": nonce}, KEY)
    row = {
        "chainId": hex(chain),
        "address": address,
        "nonce": hex(nonce),
        "yParity": hex(signed.y_parity),
        "r": hex(signed.r),
        "s": hex(signed.s),
    }
    tx = node.send(node.accounts[3], node.accounts[4], authorizationList=[row], gas=hex(200_000))
    while node.rpc("eth_getTransactionReceipt", [tx]) is None:
        pass
    return tx


def test_code_given_to_an_own_account_and_taken_back(fresh_anvil: Anvil) -> None:
    account = Account.from_key(KEY).address
    source: EvmSource = open_source(
        SourceSpec("local", ChainId("eip155", str(CHAIN_ID)), (Endpoint("anvil", fresh_anvil.url),), confirmations=1)
    )
    watch = WatchSet({bytes.fromhex(account[2:])})

    def facts(tx: str) -> BlockFacts:
        return source.block(int(fresh_anvil.receipt(tx)["blockNumber"], 16), watch)

    given = delegate(fresh_anvil, DELEGATE, nonce=0)
    (change,) = facts(given).control_changes
    assert (change.kind, change.account.text, change.before, change.after) == ("code", account, "", DELEGATE)
    assert change.txid == bytes.fromhex(given[2:])
    assert [t.txid for t in facts(given).transactions] == [change.txid]
    assert facts(delegate(fresh_anvil, "0x" + "ee" * 20, nonce=0)).control_changes == (), "a stale nonce gives nothing"
    assert facts(delegate(fresh_anvil, "0x" + "ee" * 20, nonce=1, chain=5)).control_changes == (), "another chain's"
    (back,) = facts(delegate(fresh_anvil, NOBODY, nonce=1)).control_changes
    assert (back.before, back.after) == (DELEGATE, "")
    source.close()

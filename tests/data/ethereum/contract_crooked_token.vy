# pragma version 0.4.3
# A token that says one thing and does another.

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

balanceOf: public(HashMap[address, uint256])
fee_percent: uint256

@deploy
def __init__(holder: address, amount: uint256, fee_percent: uint256):
    self.balanceOf[holder] = amount
    self.fee_percent = fee_percent

# The whole amount is logged; what arrives is less.
@external
def transfer(to: address, amount: uint256) -> bool:
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[to] += amount - amount * self.fee_percent // 100
    log Transfer(sender=msg.sender, receiver=to, amount=amount)
    return True

# A log without any movement, for anybody in anybody's name.
@external
def pretend(sender: address, receiver: address, amount: uint256):
    log Transfer(sender=sender, receiver=receiver, amount=amount)

# A movement without any log.
@external
def seize(holder: address, amount: uint256):
    self.balanceOf[holder] -= amount
    self.balanceOf[msg.sender] += amount

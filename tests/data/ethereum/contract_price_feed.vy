# pragma version 0.4.3
# A price feed as Chainlink's AggregatorV3Interface has it, whose rounds a test writes, broken ones too.

struct Round:
    answer: int256
    started_at: uint256
    updated_at: uint256
    answered_in: uint80

decimals: public(uint8)
description: public(String[64])
latest: public(uint80)
rounds: HashMap[uint80, Round]
reverting: public(bool)

@deploy
def __init__(decimals: uint8, description: String[64], first: uint80):
    self.decimals = decimals
    self.description = description
    self.latest = first

@external
def write(round: uint80, answer: int256, updated_at: uint256, answered_in: uint80):
    self.rounds[round] = Round(answer=answer, started_at=updated_at, updated_at=updated_at, answered_in=answered_in)
    self.latest = round

@external
def break_down(reverting: bool, decimals: uint8):
    self.reverting = reverting
    self.decimals = decimals

@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    assert not self.reverting, "out of order"
    found: Round = self.rounds[self.latest]
    return self.latest, found.answer, found.started_at, found.updated_at, found.answered_in

@external
@view
def getRoundData(round: uint80) -> (uint80, int256, uint256, uint256, uint80):
    found: Round = self.rounds[round]
    assert found.updated_at != 0, "No data present"
    return round, found.answer, found.started_at, found.updated_at, found.answered_in

"""Inner calls by each method a node may offer, and by none, on a real node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from chains.errors import ChainError, LyingNode, RpcError, Unsupported
from chains.evm.client import BlockReader
from chains.evm.params import NETWORKS
from chains.evm.source import read_facts
from chains.model import AccountTransaction, BlockFacts
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Call, Json
from chains.source import Endpoint
from nodes.anvils import CHAIN_ID, Anvil
from nodes.contracts import Compiled, Contract, deploy

pytestmark = pytest.mark.anvil

CODE = Path(__file__).parents[1] / "data" / "ethereum" / "contract_payer.hex"


class Crippled:
    """A node as it is, but for methods (or tracers) it refuses or answers otherwise."""

    name = "crippled"

    def __init__(self, node: Anvil, refuses: Sequence[str], error: ChainError | None = None) -> None:
        self._inner = HttpTransport(Endpoint("anvil", node.url), 10.0)
        self._refuses = refuses
        self._error = error or Unsupported("the method does not exist/is not available")
        self.asked: list[str] = []
        self.foreign_traces: Json = None

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, ChainError):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        return [self._one(method, params) for method, params in calls]

    def raw(self, path: str) -> bytes:
        raise Unsupported(path)

    def close(self) -> None:
        self._inner.close()

    def _one(self, method: str, params: Sequence[Json]) -> Json | ChainError:
        name = params[1]["tracer"] if method.startswith("debug_") else method
        self.asked.append(name)
        if name in self._refuses:
            return self._error
        if name == "trace_block" and self.foreign_traces is not None:
            return self.foreign_traces
        return self._inner.batch([(method, params)])[0]


@pytest.fixture(scope="module")
def payer(anvil: Anvil) -> Contract:
    made = deploy(anvil, Compiled([], bytes.fromhex(CODE.read_text().strip()[2:])))
    wait(anvil, anvil.send(anvil.accounts[9], made.address, value=1_000))
    return made


def wait(node: Anvil, tx: str) -> int:
    while node.rpc("eth_getTransactionReceipt", [tx]) is None:
        pass
    return int(node.receipt(tx)["blockNumber"], 16)


@pytest.fixture(scope="module")
def drained_at(anvil: Anvil, payer: Contract) -> int:
    """A block in which the contract paid 13 wei by an inner call, beside an inner call that was rolled back."""
    words = [int.from_bytes(b"\x66" * 20, "big"), 11, 13]
    data = keccak(text="pay_around_a_failure(address,uint256,uint256)")[:4] + b"".join(
        w.to_bytes(32, "big") for w in words
    )
    return wait(anvil, anvil.send(anvil.accounts[5], payer.address, data=data))


def read(node: Crippled, height: int, payer: Contract, reader: BlockReader | None = None) -> BlockFacts:
    return read_facts(
        reader or BlockReader(NETWORKS[CHAIN_ID]), node, height, frozenset({bytes.fromhex(payer.address[2:])})
    )


@pytest.fixture
def crippled(anvil: Anvil, request: pytest.FixtureRequest) -> Iterator[Crippled]:
    node = Crippled(anvil, request.param)
    yield node
    node.close()


@pytest.mark.parametrize(
    ("crippled", "used"),
    [((), "trace_block"), (("trace_block",), "callTracer")],
    indirect=["crippled"],
)
def test_each_method_tells_the_same(crippled: Crippled, used: str, payer: Contract, drained_at: int) -> None:
    reader = BlockReader(NETWORKS[CHAIN_ID])
    facts = read(crippled, drained_at, payer, reader)
    (tx,) = facts.transactions
    assert isinstance(tx, AccountTransaction)
    assert [(t.kind.value, t.sender.text, t.amount) for t in tx.transfers] == [("internal", payer.address, 13)]
    assert facts.gaps == ()
    crippled.asked.clear()
    assert read(crippled, drained_at, payer, reader) == facts
    tracers = {"trace_block", "flatCallTracer", "callTracer"}
    assert [a for a in crippled.asked if a in tracers] == [used], "what the node has not is asked for once"


@pytest.mark.parametrize("crippled", [("trace_block", "flatCallTracer", "callTracer")], indirect=True)
def test_without_any_the_block_says_what_it_cannot_show(crippled: Crippled, payer: Contract, drained_at: int) -> None:
    facts = read(crippled, drained_at, payer)
    (tx,) = facts.transactions
    assert isinstance(tx, AccountTransaction)
    assert tx.transfers == ()
    assert not tx.traced
    (gap,) = facts.gaps
    assert gap.startswith("internal calls")
    assert "not available" in gap


def test_a_tracer_that_fails_on_one_block_is_asked_again_for_the_next(
    anvil: Anvil, payer: Contract, drained_at: int
) -> None:
    """geth: "execution timeout" on one heavy block is no missing method."""
    reader = BlockReader(NETWORKS[CHAIN_ID])
    failing = Crippled(
        anvil, ("trace_block", "flatCallTracer", "callTracer"), RpcError("execution timeout", code=-32000)
    )
    assert "execution timeout" in read(failing, drained_at, payer, reader).gaps[0]
    failing._refuses = ()
    assert read(failing, drained_at, payer, reader).gaps == ()
    failing.close()


def test_traces_of_another_block_are_a_lie(anvil: Anvil, payer: Contract, drained_at: int) -> None:
    liar = Crippled(anvil, ())
    liar.foreign_traces = anvil.rpc("trace_block", [hex(drained_at - 1)])
    with pytest.raises(LyingNode, match=r"trace\.blockHash"):
        read(liar, drained_at, payer)
    liar.foreign_traces = []
    with pytest.raises(LyingNode, match="leave out a transaction"):
        read(liar, drained_at, payer)
    liar.close()

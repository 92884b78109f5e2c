"""What a capture covers: written into it as one more answer, so that a replay needs nothing but the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chains.errors import ChainError
from chains.model import ChainId
from chains.rpc.recorded import CaptureWriter, RecordedTransport

_METHOD = "walletwatch.range"


@dataclass(frozen=True, slots=True)
class CaptureRange:
    """Blocks `low` to `high`, both included, of `chain`."""

    chain: ChainId
    low: int
    high: int


def write_range(path: Path, covered: CaptureRange) -> None:
    """Note in the capture at `path` what it covers. Raises PermanentError if the disk does not take it."""
    writer = CaptureWriter(path)
    result = {"chain": str(covered.chain), "from": covered.low, "to": covered.high}
    writer.write({"method": _METHOD, "params": [], "result": result})
    writer.close()


def read_range(path: Path) -> CaptureRange:
    """What the capture at `path` covers. Raises ValueError that says what is wrong with the file."""
    try:
        said = RecordedTransport(path).call(_METHOD)
        covered = CaptureRange(ChainId.parse(said["chain"]), said["from"], said["to"])
    except (ChainError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is no capture made by `walletwatch record`: {error}") from error
    if not (isinstance(covered.low, int) and isinstance(covered.high, int) and 0 <= covered.low <= covered.high):
        raise ValueError(f"{path.name} says it covers no range of blocks")
    return covered

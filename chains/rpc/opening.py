"""From deployment facts to a pool of endpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chains.rpc.endpoints import EndpointPool
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Loads, Transport, loads_fast
from chains.rpc.recorded import CaptureWriter, RecordedTransport, RecordingTransport
from chains.specs import Endpoint, SourceSpec

RECORDED: Final = "recorded:"
Door = Callable[[Endpoint, HttpTransport], Transport]
"""Another way to a node than JSON-RPC alone."""


def open_transport(
    spec: SourceSpec,
    identify: Callable[[Transport], None],
    loads: Loads = loads_fast,
    clock: Callable[[], float] = time.monotonic,
    door: Door | None = None,
) -> EndpointPool:
    """The pool for `spec`: an endpoint url `recorded:PATH` answers from a capture, any other is asked over HTTP; with
    `record_to` every answer of a node is also written there. Raises ValueError for an url that is neither,
    PermanentError for a capture that cannot be read. `clock` times quarantines. `door` may wrap what asks a node; while
    answers are written to a file it does not, so that a capture holds one form of each.
    """
    writer = CaptureWriter(spec.record_to) if spec.record_to is not None else None
    transports = [
        _open_one(endpoint, spec.timeout_secs, loads, door if writer is None else None) for endpoint in spec.endpoints
    ]
    if writer is not None:
        transports = [RecordingTransport(transport, writer) for transport in transports]
    return EndpointPool(transports, identify, spec.name, clock=clock)


def _open_one(endpoint: Endpoint, timeout_secs: float, loads: Loads, door: Door | None) -> Transport:
    if endpoint.url.startswith(RECORDED):
        return RecordedTransport(Path(endpoint.url.removeprefix(RECORDED)), loads, endpoint.name)
    transport = HttpTransport(endpoint, timeout_secs, loads)
    return transport if door is None else door(endpoint, transport)

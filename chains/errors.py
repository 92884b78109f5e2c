"""What can go wrong between us and a node.

ChainError
├── TransientError        try again, here or at another endpoint
│   ├── Unreachable       refused, reset, timed out, 5xx
│   ├── RateLimited       429 or the provider's own words for it; may carry `retry_after_secs`
│   ├── NotReady          warming up (-28), initial download, stale tip
│   └── BlockGone         the height or hash asked for is no longer (or not yet) on the best chain
├── PermanentError        asking again does not help
│   ├── WrongChain        the node follows another chain than the configured one
│   ├── Unsupported       the node has no such method or keeps no such history (pruned, no archive)
│   └── RpcError          any other error answer of the node, with its code
└── LyingNode             the answer contradicts itself, the question, or what was already proved
"""

from __future__ import annotations


class ChainError(Exception):
    """Base of all. `endpoint` is the endpoint's public name (never a URL with secrets)."""

    def __init__(self, message: str, *, endpoint: str = "") -> None:
        super().__init__(message)
        self.endpoint = endpoint


class TransientError(ChainError):
    """Worth another try."""


class Unreachable(TransientError):
    """No usable answer came back."""


class RateLimited(TransientError):
    """The node asked us to slow down; `retry_after_secs` is what it said, else None."""

    def __init__(self, message: str, *, endpoint: str = "", retry_after_secs: float | None = None) -> None:
        super().__init__(message, endpoint=endpoint)
        self.retry_after_secs = retry_after_secs


class NotReady(TransientError):
    """The node answers but cannot be relied on yet."""


class BlockGone(TransientError):
    """The block asked for is not on the node's best chain."""


class PermanentError(ChainError):
    """Another try gives the same answer."""


class WrongChain(PermanentError):
    """The node follows another chain."""


class Unsupported(PermanentError):
    """The node cannot answer this kind of question."""


class RpcError(PermanentError):
    """An error answer of the node that is none of the above; `code` as the node gave it."""

    def __init__(self, message: str, *, code: int, endpoint: str = "") -> None:
        super().__init__(message, endpoint=endpoint)
        self.code = code


class LyingNode(ChainError):
    """The answer cannot be true."""

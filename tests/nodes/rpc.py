"""JSON-RPC to a local node, apart from the product's own transport, so that tests do not measure a thing by itself."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

_ANSWER_SECS = 120.0


class RpcRefused(Exception):
    """The node answered with an error: its code and its words."""

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {message} ({code})" + (f" {data}" if data else ""))
        self.code = code
        self.message = message
        self.data = data


def call(url: str, method: str, params: Sequence[Any], *, authorization: str | None = None) -> Any:
    """One call; the result, numbers with a point as Decimal. Raises RpcRefused, or OSError if nobody listens.

    A Decimal among `params` goes out as a string, which bitcoind takes for an exact amount.
    """
    parts = urlsplit(url)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, default=str)
    headers = {"content-type": "application/json"} | ({"authorization": authorization} if authorization else {})
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_SECS)
    try:
        connection.request("POST", parts.path or "/", body, headers)
        response = connection.getresponse()
        raw = response.read()
    finally:
        connection.close()
    if not raw:
        raise RpcRefused(method, response.status, response.reason)
    answer = json.loads(raw, parse_float=Decimal)
    if answer.get("error"):
        error = answer["error"]
        raise RpcRefused(method, error["code"], error["message"], error.get("data"))
    return answer["result"]

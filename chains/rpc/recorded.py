"""A node's answers in a file: written as they come, read back offline.

A capture is JSON lines (gzip if the name ends in `.gz`), one answer a line, in the order they came:
`{"method": …, "params": […], "result": …}`, `{"method": …, "params": […], "error": {…}}` or
`{"path": …, "body": base64}` for a plain GET. Lines `{"format": "walletwatch.capture/v1"}` mark where a writer began.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import orjson

from chains import errors
from chains.errors import ChainError, PermanentError, RateLimited, RpcError, Unsupported
from chains.rpc.jsonrpc import Call, Json, Loads, Transport, loads_fast

FORMAT: Final = "walletwatch.capture/v1"
_ERRORS: Final[dict[str, type[ChainError]]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ChainError)
}


class CaptureWriter:
    """Appends answers to a capture. Safe to share between the transports of one source."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._name = path.name
        try:
            plain = path.open("ab")
        except OSError as error:
            raise self._fault(error) from error
        self._plain: IO[bytes] = plain
        self._packed = gzip.GzipFile(fileobj=plain, mode="ab") if path.suffix == ".gz" else None
        self.write({"format": FORMAT})

    def write(self, line: dict[str, Json]) -> None:
        """Append one line. Raises PermanentError if the disk does not take it."""
        with self._lock:
            if self._plain.closed:
                return
            try:
                (self._packed or self._plain).write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            except OSError as error:
                raise self._fault(error) from error

    def close(self) -> None:
        """Flush and close; closing twice is nothing. Raises PermanentError if the disk does not take the rest."""
        with self._lock:
            try:
                if self._packed is not None:
                    self._packed.close()
                self._plain.close()
            except OSError as error:
                raise self._fault(error) from error

    def _fault(self, error: OSError) -> PermanentError:
        return PermanentError(f"the capture {self._name} cannot be written: {error.strerror}")


class RecordingTransport:
    """Passes everything through and writes each answer, errors too."""

    def __init__(self, inner: Transport, writer: CaptureWriter | Path) -> None:
        self.name = inner.name
        self._inner = inner
        self._writer = CaptureWriter(writer) if isinstance(writer, Path) else writer

    @property
    def connections(self) -> int:
        """As the inner transport counts them."""
        count: int = getattr(self._inner, "connections", 0)
        return count

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """One call, recorded."""
        asked = {"method": method, "params": list(params)}
        try:
            result = self._inner.call(method, params)
        except ChainError as error:
            self._writer.write({**asked, "error": _error_to_json(error)})
            raise
        self._writer.write({**asked, "result": result})
        return result

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """A batch, recorded call by call."""
        results = self._inner.batch(calls)
        for (method, params), result in zip(calls, results, strict=True):
            failed = isinstance(result, ChainError)
            answer = {"error": _error_to_json(result)} if failed else {"result": result}
            self._writer.write({"method": method, "params": list(params), **answer})
        return results

    def raw(self, path: str) -> bytes:
        """A plain GET, recorded."""
        try:
            body = self._inner.raw(path)
        except ChainError as error:
            self._writer.write({"path": path, "error": _error_to_json(error)})
            raise
        self._writer.write({"path": path, "body": base64.b64encode(body).decode()})
        return body

    def close(self) -> None:
        """Close the inner transport and the capture."""
        self._inner.close()
        self._writer.close()


class RecordedTransport:
    """Answers from a capture. A question asked again gets the next recorded answer, and the last one for ever after.

    Holds places in the file, not answers: a capture may be far larger than memory. A packed one is unpacked to a
    temporary file first.
    """

    def __init__(self, path: Path, loads: Loads = loads_fast, name: str = "") -> None:
        self.name = name or f"recorded:{path.name}"
        self._loads = loads
        self._lock = threading.Lock()
        self._places: dict[bytes, list[tuple[int, int]]] = {}
        self._asked: dict[bytes, int] = {}
        self._file = _open_capture(path, self.name)
        self._read_offsets()

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """The recorded result. Raises the recorded error, or Unsupported if this was never asked."""
        line = self._next(_key([method, list(params)]), f"{method}{_shown(params)}")
        if "error" in line:
            raise _error_from_json(line["error"], self.name)
        return line["result"]

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """Each call answered by itself."""
        return [self._call_or_error(call) for call in calls]

    def raw(self, path: str) -> bytes:
        """The recorded body."""
        line = self._next(_key(path), f"GET {path}")
        if "error" in line:
            raise _error_from_json(line["error"], self.name)
        try:
            return base64.b64decode(line["body"], validate=True)
        except (binascii.Error, TypeError, KeyError) as error:
            raise PermanentError(f"bad body recorded for GET {path}", endpoint=self.name) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _call_or_error(self, call: Call) -> Json | ChainError:
        try:
            return self.call(*call)
        except ChainError as error:
            return error

    def _read_offsets(self) -> None:
        place = 0
        for number, raw in enumerate(self._file, 1):
            key = _key_of_line(raw, number, self.name)
            if key is not None:
                self._places.setdefault(key, []).append((place, len(raw)))
            place += len(raw)

    def _next(self, key: bytes, words: str) -> dict[str, Json]:
        with self._lock:
            places = self._places.get(key)
            if not places:
                raise Unsupported(f"the capture has no answer to {words}", endpoint=self.name)
            turn = self._asked.get(key, 0)
            self._asked[key] = turn + 1
            place, size = places[min(turn, len(places) - 1)]
            self._file.seek(place)
            raw = self._file.read(size)
        line: dict[str, Json] = self._loads(raw)
        return line


def _open_capture(path: Path, name: str) -> IO[bytes]:
    try:
        if path.suffix != ".gz":
            return path.open("rb")
        spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the transport owns it until close()
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, spool, 1 << 20)
    except (OSError, EOFError) as error:
        raise PermanentError(f"the capture cannot be read: {error}", endpoint=name) from error
    spool.seek(0)
    return spool


def _key_of_line(raw: bytes, number: int, name: str) -> bytes | None:
    """The question a line answers, None for a format line. Raises PermanentError for anything else."""
    try:
        line = orjson.loads(raw)
        if line.get("format") == FORMAT:
            return None
        if "path" in line and ("body" in line or "error" in line):
            return _key(line["path"])
        if "result" in line or "error" in line:
            return _key([line["method"], line["params"]])
    except (ValueError, AttributeError, KeyError) as error:
        raise PermanentError(f"line {number} of the capture is damaged", endpoint=name) from error
    raise PermanentError(f"line {number} of the capture is no answer", endpoint=name)


def _key(asked: Json) -> bytes:
    return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)


def _shown(params: Sequence[Json]) -> str:
    text = orjson.dumps(list(params)).decode()
    return f"({text[1:-1][:120]})"


def _error_to_json(error: ChainError) -> dict[str, Any]:
    line: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, RpcError):
        line["code"] = error.code
    if isinstance(error, RateLimited) and error.retry_after_secs is not None:
        line["retry_after_secs"] = str(error.retry_after_secs)
    return line


def _error_from_json(line: Json, name: str) -> ChainError:
    kind = _ERRORS.get(line.get("type", "")) if isinstance(line, dict) else None
    if kind is None:
        raise PermanentError("the capture holds an error of unknown type", endpoint=name)
    message = str(line.get("message", ""))
    if kind is RpcError:
        return RpcError(message, code=int(line.get("code", 0)), endpoint=name)
    if kind is RateLimited:
        wait = line.get("retry_after_secs")
        return RateLimited(message, endpoint=name, retry_after_secs=float(wait) if wait else None)
    return kind(message, endpoint=name)

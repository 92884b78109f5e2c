"""What kind of script an output has, and which keys a script names."""

from __future__ import annotations

from typing import Final

from bitcoin.core.script import OP_CHECKMULTISIG, CScript, CScriptInvalidError

from chains.bitcoin.addresses import witness_program

_OP_1, _OP_16 = 0x51, 0x60
_PUBKEY_SIZES: Final = (33, 65)


def script_type(script: bytes) -> str:
    """`p2pk p2pkh p2sh p2wpkh p2wsh p2tr multisig op_return anchor witness` or `nonstandard`."""
    program = witness_program(script)
    if program is not None:
        return _witness_type(*program)
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return "p2pkh"
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return "p2sh"
    if len(script) in (35, 67) and script[0] == len(script) - 2 and script[-1:] == b"\xac":
        return "p2pk"
    if script[:1] == b"\x6a":
        return "op_return"
    return "multisig" if multisig_keys(script) else "nonstandard"


def _witness_type(version: int, program: bytes) -> str:
    if version == 0:
        return {20: "p2wpkh", 32: "p2wsh"}.get(len(program), "nonstandard")
    if version == 1 and len(program) == 32:
        return "p2tr"
    return "anchor" if (version, program) == (1, b"\x4e\x73") else "witness"


def multisig_keys(script: bytes) -> tuple[bytes, ...]:
    """The public keys of `m <key>… n OP_CHECKMULTISIG`, in order; empty for any other script."""
    items = script_items(script)
    if items is None or len(items) < 4 or items[-1] != OP_CHECKMULTISIG:
        return ()
    keys = tuple(item for item in items[1:-2] if isinstance(item, bytes) and len(item) in _PUBKEY_SIZES)
    if len(keys) != len(items) - 3 or not 1 <= len(keys) <= 20:
        return ()
    return keys if _number(items[-2]) == len(keys) >= _number(items[0]) >= 1 else ()


def _number(item: bytes | int) -> int:
    """The small number an item pushes, 0 if it pushes none. 17 to 20 keys are counted by a byte."""
    if isinstance(item, bytes):
        return item[0] if len(item) == 1 else 0
    return item - _OP_1 + 1 if _OP_1 <= item <= _OP_16 else 0


def script_items(script: bytes) -> list[bytes | int] | None:
    """Pushed data as bytes (empty for OP_0) and other opcodes as numbers; None if a push runs past the end."""
    items: list[bytes | int] = []
    try:
        for opcode, data, _place in CScript(script).raw_iter():
            items.append(b"" if opcode == 0 else data if data is not None else int(opcode))
    except CScriptInvalidError:
        return None
    return items


def pushes(script: bytes) -> tuple[bytes, ...]:
    """The data pushed by a scriptSig; empty if it does anything else."""
    items = script_items(script)
    if items is None or not all(isinstance(item, bytes) for item in items):
        return ()
    return tuple(item for item in items if isinstance(item, bytes))

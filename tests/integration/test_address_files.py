"""An address that is added to a wallet's file while the daemon runs is watched from then on."""

from __future__ import annotations

from pathlib import Path

from exchanges import ANVIL, Exchange, wait_for, watching

from chains.model import ChainId
from nodes.anvils import Anvil
from walletwatch.store.statements import Filter


def test_an_added_address_is_watched_without_a_restart(tmp_path: Path, fresh_anvil: Anvil) -> None:
    first, second, stranger = fresh_anvil.accounts[:3]
    folder = tmp_path / "exchange"
    folder.mkdir()
    (folder / "hot.txt").write_text(f"# the hot wallet\n{first}\n")
    exchange = Exchange(
        folder,
        f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{fresh_anvil.url}"]
finality = 2
poll = "1s"
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses_file = "hot.txt"
""",
    )
    with watching(exchange) as app:

        def told(action: str) -> bool:
            with app.store.reading() as unit:
                return any(entry.action == action for entry in unit.audit.find(Filter(action=action)))

        def left() -> set[str]:
            with app.store.reading() as unit:
                return {o.tx.hex() for o in unit.outflows.find(Filter(chain=str(ChainId.parse(ANVIL))))}

        wait_for(lambda: told("chain.started"), "the chain is watched")
        unseen = fresh_anvil.send(second, stranger, value=5)
        seen = fresh_anvil.send(first, stranger, value=6)
        wait_for(lambda: seen.removeprefix("0x") in left(), "the first address is watched")
        with (folder / "hot.txt").open("a") as file:
            file.write(f"{second}\n")
        wait_for(lambda: told("perimeter.changed"), "the file was read again")
        late = fresh_anvil.send(second, stranger, value=7)
        wait_for(lambda: late.removeprefix("0x") in left(), "the second address is watched")
        assert unseen.removeprefix("0x") not in left()
        (folder / "hot.txt").write_text("no address at all\n")
        again = fresh_anvil.send(second, stranger, value=8)
        wait_for(lambda: again.removeprefix("0x") in left(), "the old addresses stay in force")

"""What the demonstration shows, screen by screen."""

from __future__ import annotations

import errno
import re
import textwrap
import time
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from chains.model import format_units
from walletwatch.demo.evidence import Evidence, gather
from walletwatch.demo.play import HABITS_ON, played
from walletwatch.domain.findings import Finding, Severity
from walletwatch.reports.daily_sheets import headline, make_sheets
from walletwatch.rules.registry import rule_type

_STYLES: Final = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "bold dark_orange",
    Severity.MEDIUM: "bold yellow",
    Severity.LOW: "bold blue",
    Severity.INFO: "bold",
}
_LABEL = re.compile(r"  (\S[^:]*:)\s+(.*)")
_INDENT = 16

FILES: Final = (
    ("alerts.txt", "every message as it was sent"),
    ("trace.html", "the way of the money as a picture (also trace.svg, trace.json)"),
    ("report.html", "the report of 31 May (also report.json)"),
    ("story.md", "the story of the theft, each line with its proof"),
    ("evidence.zip", "all of it for a regulator, signed; README.txt tells how to check it"),
    ("checkpoint.txt", "the signed head of the audit log, to be kept elsewhere"),
    ("PROVENANCE.md", "what is real in all this, and what is not"),
    ("walletwatch.toml", "the configuration, with rules.toml, people.toml, approvals.jsonl and the database"),
)


class Screens:
    """Prints to one console. Times are those of the exchange."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._zone = ZoneInfo("Asia/Tokyo")

    def introduce(self) -> None:
        """What this is, and what of it is real."""
        text = Text.assemble(
            "On 31 May 2024, 4,502.9 BTC (about 305 million USD) left DMM Bitcoin in one transaction, to an address "
            "made to look like the right one. Here those days are played to walletwatch, block by block.\n\n",
            ("Real: ", "bold"),
            "the theft and the transaction before it, byte for byte (but for the signatures); the addresses of the "
            "vault, the payee, the thief, and the ten wallets the money was spread to.\n",
            ("Reconstructed: ", "bold"),
            "the blocks around them, ordinary payments, approvals, limits and people; how the ten wallets were paid.\n",
            ("The same as in operation: ", "bold"),
            "everything walletwatch does. Nothing leaves this machine.",
        )
        self._console.print(Panel(text, title="[bold]walletwatch demo[/]", box=box.ROUNDED, padding=(1, 2)))

    def show(self, evidence: Evidence, messages: str, folder: Path, secs: float) -> None:
        """Everything, in the order in which it happened."""
        self._ordinary(evidence, secs)
        self._alert(messages, evidence)
        self._rules(evidence)
        self._trace(evidence)
        self._story(evidence)
        self._report(evidence)
        self._proof(evidence)
        self._farewell(folder, evidence)

    # --- sections -----------------------------------------------------------------------------------------------------

    def _ordinary(self, evidence: Evidence, secs: float) -> None:
        self._head("Two days of ordinary life")
        paid = sum(o.amount for o in evidence.paid)
        payees = sum(len(o.payments) for o in evidence.paid)
        judged = "none broke a rule" if not evidence.on_ordinary else f"{len(evidence.on_ordinary)} findings"
        self._say(
            f"{len(evidence.paid)} payments to {payees} payees, {_btc(paid)}, each held against {evidence.acts} signed "
            f"acts of four people: {judged}, nobody was disturbed. On the morning of {self._day(HABITS_ON)} three more "
            f"rules were turned on, which know a wallet by its past. (Played in {secs:.1f} s.)"
        )

    def _alert(self, messages: str, evidence: Evidence) -> None:
        seen, block = evidence.theft.first_seen, evidence.theft.block_time
        self._head(f"{self._clock(seen)}  The alert")
        if block is not None:
            self._say(
                f"The theft still waits to be mined: its block comes {int((block - seen).total_seconds())} seconds "
                "later. (Both times are ours; the exchange said it noticed at about 13:26.)"
            )
        message = messages.partition("\n\n")[0]
        width = min(self._console.width, 120) - 4
        self._console.print(Panel(_page(message, width), border_style="red", box=box.HEAVY, padding=(0, 1)))

    def _rules(self, evidence: Evidence) -> None:
        self._head(f"{len(evidence.findings)} rules fired, each for a reason of its own")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for title in ("rule", "what it looks for"):
            table.add_column(title, overflow="fold")
        for finding in evidence.findings:
            name = Text(finding.rule.replace("_", " "), style=_STYLES[finding.severity], no_wrap=True)
            table.add_row(name, _question(finding))
        self._console.print(Padding(table, (0, 2)))
        self._say("Any one of them would have told. The first needs the approval log, the others do not.")

    def _trace(self, evidence: Evidence) -> None:
        self._head("Where the money went")
        tree = evidence.tree.partition("\nwhat to freeze first")[0]
        totals = evidence.trace.totals[evidence.trace.model]
        wallets = sum(1 for node in evidence.trace.nodes if node.holding)
        body = Text(tree.split("\n\n", 1)[-1].strip())
        body.highlight_regex(r"HOLDS IT", "bold red")
        body.highlight_regex(r"passed on|robbed", "dim")
        self._console.print(Padding(body, (0, 2)))
        self._say(
            f"Followed live: {_btc(totals.holding)} lie in {wallets} wallets and are watched, {_btc(totals.fees)} went "
            f"into fees. Together {_btc(totals.holding + totals.fees)}: all that was stolen, to the satoshi."
        )

    def _story(self, evidence: Evidence) -> None:
        self._head("What the audit log can prove about it")
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(overflow="fold")
        for at, who, what in _moments(evidence):
            table.add_row(Text(self._clock(at), style="dim"), Text(who, style="bold", no_wrap=True), Text(what))
        self._console.print(Padding(table, (0, 2)))

    def _report(self, evidence: Evidence) -> None:
        self._head("The day's report")
        for line in headline(evidence.report):
            self._console.print(Padding(Text(f"• {line}"), (0, 2)))
        books = make_sheets(evidence.report)[0]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in books.headings:
            table.add_column(heading.title, justify="right" if heading.right else "left", overflow="fold")
        for row in books.rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Padding(table, (1, 2, 0, 2)))

    def _proof(self, evidence: Evidence) -> None:
        self._head("The log itself")
        good, forged = evidence.verified, evidence.forged
        verdict = Text("untouched", style="bold green") if good.ok else Text("NOT intact", style="bold red")
        signed = f", {good.signed_size} of {good.size} entries under a signed checkpoint"
        self._console.print(Padding(Text.assemble("audit verify: ", verdict, signed, "."), (0, 2)))
        found = forged.problems[0].message if forged.problems else "nothing"
        self._say(f"The same with a copy in which somebody made the theft a hundred times smaller: {found}.")
        pack = "in order" if evidence.pack.ok else evidence.pack.problems[0].message
        self._say(f"The evidence pack, checked as a regulator would, with the public key alone: {pack}.")

    def _farewell(self, folder: Path, evidence: Evidence) -> None:
        self._head("Yours to look at")
        table = Table.grid(padding=(0, 2))
        for name, about in FILES:
            table.add_row(Text(str(folder / name), style="cyan", no_wrap=True), Text(about))
        self._console.print(Padding(table, (0, 2)))
        self._console.print()
        config = folder / "walletwatch.toml"
        for command in commands(evidence):
            self._console.print(Text(f"  walletwatch --config {config} {command}"), soft_wrap=True)
        self._console.print()

    # --- words --------------------------------------------------------------------------------------------------------

    def _head(self, title: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(title, style="bold"), align="left", style="dim"))

    def _say(self, text: str) -> None:
        self._console.print(Padding(Text(text), (0, 2)))

    def _day(self, moment: datetime) -> str:
        local = moment.astimezone(self._zone)
        return f"{local.day} {local:%B}"

    def _clock(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).strftime("%H:%M:%S")


def commands(evidence: Evidence) -> tuple[str, ...]:
    """What works on the folder from here on, offline."""
    return (
        f"alerts show {evidence.alert.id}",
        "findings list --severity critical",
        "outflows list",
        f"requests show {evidence.requests[0]}",
        f"audit why {evidence.theft.tx.hex()}",
        f"trace show {evidence.case.case.name}",
        f"report daily --date {evidence.report.day.isoformat()}",
        "audit verify",
    )


def _question(finding: Finding) -> str:
    """The first sentence of the rule's description."""
    return re.split(r"(?<=[.:]) ", rule_type(finding.rule).description, maxsplit=1)[0].rstrip(":")


def _page(message: str, width: int) -> Text:
    """A plain message with its lines folded under their text, loud words coloured."""
    lines: list[str] = []
    for line in message.splitlines():
        labelled = _LABEL.match(line)
        if labelled is None:
            lines += textwrap.wrap(line, width) or [""]
            continue
        head = f"  {labelled[1]:<{_INDENT - 3}} "
        lines += textwrap.wrap(
            labelled[2], width, initial_indent=head, subsequent_indent=" " * _INDENT, break_on_hyphens=False
        )
    page = Text("\n".join(lines))
    page.stylize("bold white on red", 0, len(lines[0]))
    for severity, style in _STYLES.items():
        page.highlight_regex(rf"(?<=  ){severity.upper()} ", style)
    return page


def _moments(evidence: Evidence) -> Iterator[tuple[datetime, str, str]]:
    """The story's main lines: who asked, who approved, what was seen, told and done."""
    rules = f"{len(evidence.findings)} rules broken, each on record with its evidence"
    for line in evidence.story.lines:
        proof = next((part for part in line.evidence if part.startswith(("approvals", "audit entry", "block"))), "")
        said = line.what
        if line.key == ("finding.made", evidence.findings[0].id):
            said, proof = rules, _span(evidence)
        elif line.key[0] == "finding.made" or line.order in (6, 8) or said.startswith("alert changed: ack"):
            continue
        proof = "" if len(proof) > 40 else proof
        yield line.at, line.actor, f"{said}  [{proof}]" if proof else said


def _span(evidence: Evidence) -> str:
    """The audit entries that hold the findings."""
    ids = {f.id for f in evidence.findings}
    entries = [part for line in evidence.story.lines if line.key[-1] in ids for part in line.evidence]
    numbers = sorted(int(part.removeprefix("audit entry ")) for part in entries if part.startswith("audit entry "))
    return f"audit entries {numbers[0]} to {numbers[-1]}" if numbers else ""


def _btc(sats: int) -> str:
    return f"{format_units(sats, 8)} BTC"


DEFAULT_FOLDER: Final = Path("walletwatch-demo")


def run_demo(folder: Path, console: Console) -> int:
    """Play the DMM Bitcoin theft into `folder` and show it. 0, or 1 if the audit log or the pack is not in order.

    Raises FileExistsError for a folder with anything in it: nothing is ever overwritten; DemoFailed if the days did not
    end as they must.
    """
    screens, messages = Screens(console), StringIO()
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(errno.EEXIST, "the folder is there already, and not empty", str(folder))
    screens.introduce()
    began = time.perf_counter()
    with console.status("playing 29 to 31 May 2024 …"), played(folder, messages) as app:
        evidence = gather(app, folder)
    (folder / "alerts.txt").write_text(messages.getvalue(), encoding="utf-8")
    screens.show(evidence, messages.getvalue(), folder, time.perf_counter() - began)
    return 0 if evidence.verified.ok and evidence.pack.ok else 1

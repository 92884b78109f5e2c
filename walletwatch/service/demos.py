"""`walletwatch demo`: a recorded incident, from the first block to the signed evidence, in a folder of its own."""

from __future__ import annotations

import errno
import time
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console

from walletwatch.service.demo_evidence import gather
from walletwatch.service.demo_plays import played
from walletwatch.service.demo_screens import Screens

DEFAULT_FOLDER: Final = Path("walletwatch-demo")


def run_demo(folder: Path, console: Console) -> int:
    """Play the DMM Bitcoin theft into `folder` and show it. 0, or 1 if the audit log or the pack is not in order.

    Raises FileExistsError for a folder with anything in it: nothing is ever overwritten; DemoFailed if the days did not
    end as they must.
    """
    screens, told = Screens(console), StringIO()
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(errno.EEXIST, "the folder is there already, and not empty", str(folder))
    screens.introduce()
    began = time.perf_counter()
    with console.status("playing 29 to 31 May 2024 …"), played(folder, told) as app:
        evidence = gather(app, folder)
    (folder / "alerts.txt").write_text(told.getvalue(), encoding="utf-8")
    screens.show(evidence, told.getvalue(), folder, time.perf_counter() - began)
    return 0 if evidence.verified.ok and evidence.pack.ok else 1

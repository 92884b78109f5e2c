"""The look of the case page."""

STYLE = """
:root { color-scheme: light; --ink: #172033; --soft: #5b6577; --line: #e3e7ee; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: var(--ink); line-height: 1.45; font-size: 14px;
  font-family: Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 28px 24px 40px; }
.picture { background: #fff; border: 1px solid var(--line); border-radius: 12px; overflow-x: auto; }
.picture svg { display: block; margin: 0 auto; max-width: 100%; height: auto; min-width: 900px; }
.picture g:hover > rect { filter: brightness(0.9); }
.picture path:hover { fill-opacity: 0.55; }
h2 { font-size: 17px; margin: 34px 0 12px; }
.table { background: #fff; border: 1px solid var(--line); border-radius: 12px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; font-weight: 600; color: var(--soft); padding: 10px 12px; white-space: nowrap; }
td { padding: 8px 12px; border-top: 1px solid var(--line); vertical-align: top; }
.amount { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.n { text-align: right; color: var(--soft); width: 1%; font-variant-numeric: tabular-nums; }
.time { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--soft); }
td.mono { font-family: ui-monospace, 'SF Mono', Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace;
  font-size: 12px; word-break: break-all; min-width: 180px; }
.chip { display: inline-block; color: #fff; border-radius: 9px; padding: 1px 9px; font-size: 12px;
  white-space: nowrap; }
.more, .gaps { color: var(--soft); padding: 8px 12px; margin: 0; }
.gaps { padding-left: 30px; }
footer { margin-top: 34px; color: var(--soft); font-size: 12px; }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } .picture, .table { border: 0; } }
"""

"""Every test may ask for a real node: nodes/fixtures.py says how, nodes/reports.py what a run tells about them."""

pytest_plugins = ["nodes.fixtures", "nodes.reports"]

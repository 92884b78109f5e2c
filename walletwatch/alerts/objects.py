"""What a webhook gets: the alert, and the objects its findings and outflows name (CONTRACT §5)."""

from __future__ import annotations

from typing import Any

from walletwatch.alerts.ports import AlertView
from walletwatch.domain.objects import Names, alert_object, finding_object, outflow_object


def event_object(view: AlertView) -> dict[str, Any]:
    """The alert as it stands, with `details`."""
    labels = {address: said[0].label for address, said in view.labels.items() if said}
    names = Names(view.names.assets, view.names.chains, labels)
    about = {o.id: [f.id for f in view.findings if f.outflow == o.id] for o in view.outflows}
    return {
        "type": "walletwatch.alert/v1",
        **alert_object(view.alert),
        "details": {
            "findings": [finding_object(f, names) for f in view.findings],
            "outflows": [
                outflow_object(o, names, requests=view.requests.get(o.id, ()), findings=about[o.id])
                for o in view.outflows
            ],
        },
    }

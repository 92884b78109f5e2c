"""The approval side: feeds of signed acts, who may approve what, and which request explains which payment."""

"""Decides, tells, follows, proves: everything above the facts of `chains`."""

__version__ = "0.2.0"

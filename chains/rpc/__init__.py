"""Talking JSON-RPC to nodes: one transport protocol, an endpoint pool in front of many, recorded answers for one.

Families see only `Transport`; which endpoint answered, how often it was asked, and whether the answer came from a file
is decided here.
"""

"""Rows and objects as table, JSON, CSV, Markdown, XML and HTML, with one way to make a stranger's text harmless."""

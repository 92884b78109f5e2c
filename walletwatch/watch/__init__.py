"""The use cases: ingest one block, roll back, match, judge, extend cases, keep the books.

Everything here happens inside a unit of work that somebody else opens; what a transaction learned is remembered in
memory only after it was committed (`Memory`).
"""

"""Everything that is kept: SQLAlchemy Core tables, one unit of work, repositories, migrations.

The only package that knows SQL. SQLite (WAL, synchronous=FULL, BEGIN IMMEDIATE) by default, PostgreSQL for more than
one process; both hold amounts exactly (`BaseUnits`).
"""

from walletwatch.store.stores import Store, StoreError, UnitOfWork, open_store

__all__ = ["Store", "StoreError", "UnitOfWork", "open_store"]

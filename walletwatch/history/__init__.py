"""Answers of the past for rules: sums over windows, recent transactions, caches, SQL, and a what-if overlay."""

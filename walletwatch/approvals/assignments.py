"""The best pairing of rows with columns, exactly: as many as possible, and of those the cheapest.

Hungarian method in its shortest-path form (Jonker and Volgenant 1987) on sparse rows; costs are integers of any size.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

Edges = Sequence[tuple[int, int]]
"""(column, cost) of one row; costs are not negative."""


@dataclass(slots=True)
class Effort:
    """How many looks at an edge are left; about a microsecond each. None in its place is no bound."""

    left: int

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0


@dataclass(frozen=True, slots=True)
class Pairing:
    """`column_of` the rows that got one. The `prices` of the rows prove the answer: an edge that a row does not have
    would make it no cheaper if it costs the row's price or more. Not `settled`: the effort was spent before, the rows
    that were left took what was free, and the answer may not be the best.
    """

    column_of: Mapping[int, int]
    prices: Sequence[int]
    settled: bool = True


def assign(rows: Sequence[Edges], dearest: int | None = None, effort: Effort | None = None) -> Pairing:
    """Pair each row with at most one column and each column with at most one row.

    `dearest` is the highest cost any edge could have, if `rows` do not show all of them. The work is one look at each
    edge, and a search through the rows that fight for the same columns for each of these: cubic where all of them do,
    which `effort` bounds.
    """
    return _AssignmentSearch(rows, dearest, effort or Effort(sys.maxsize)).solve()


class _AssignmentSearch:
    """Rows, columns and the dual prices that prove the answer cheapest. Column -1 - r is row r's own way out."""

    def __init__(self, rows: Sequence[Edges], dearest: int | None, effort: Effort) -> None:
        if dearest is None:
            dearest = max((cost for edges in rows for _, cost in edges), default=0)
        way_out = 1 + dearest * len(rows)
        self.rows = [(*edges, (-1 - r, way_out)) for r, edges in enumerate(rows)]
        self.row_price = [min(cost for _, cost in edges) for edges in self.rows]
        self.column_price: dict[int, int] = {}
        self.column_of: dict[int, int] = {}
        self.row_of: dict[int, int] = {}
        self.effort = effort

    def solve(self) -> Pairing:
        """Settle the rows that need not fight, then the others one by one."""
        contested = [r for r in range(len(self.rows)) if not self._take_cheapest(r)]
        given_up = [r for r in contested if not self._augment(r)]
        for r in given_up:
            self._take_free(r)
        column_of = {r: c for r, c in self.column_of.items() if c >= 0}
        return Pairing(column_of, self.row_price, settled=not given_up)

    def _take_free(self, row: int) -> None:
        """The cheapest column that nobody has."""
        free = [(cost, c) for c, cost in self.rows[row] if c not in self.row_of]
        self._pair(row, min(free)[1])

    def _take_cheapest(self, row: int) -> bool:
        """Give the row a free column of its lowest cost, if there is one: most rows are done by this."""
        price, taken = self.row_price[row], self.row_of
        free = min((c for c, cost in self.rows[row] if cost == price and c not in taken), default=None)
        if free is not None:
            self._pair(row, free)
        return free is not None

    def _pair(self, row: int, column: int) -> None:
        self.column_of[row] = column
        self.row_of[column] = row

    def _augment(self, start: int) -> bool:
        """Dijkstra over reduced costs from `start` to the nearest free column, then turn the path round. False if the
        effort did not reach so far; nothing is changed then.
        """
        distance: dict[int, int] = {}
        came_from: dict[int, int] = {}
        settled: dict[int, int] = {}
        queue: list[tuple[int, bool, int]] = []
        row, reached = start, 0
        while not self.effort.spent:
            self.effort.left -= len(self.rows[row])
            for column, cost in self.rows[row]:
                d = reached + cost - self.row_price[row] - self.column_price.get(column, 0)
                if column not in settled and d < distance.get(column, d + 1):
                    distance[column], came_from[column] = d, row
                    heappush(queue, (d, column in self.row_of, column))
            reached, taken, column = heappop(queue)
            while column in settled:
                reached, taken, column = heappop(queue)
            if not taken:
                self._reprice(start, settled, reached)
                self._turn(start, column, came_from)
                return True
            settled[column] = reached
            row = self.row_of[column]
        return False

    def _reprice(self, start: int, settled: dict[int, int], reached: int) -> None:
        self.row_price[start] += reached
        for column, distance in settled.items():
            self.row_price[self.row_of[column]] += reached - distance
            self.column_price[column] = self.column_price.get(column, 0) - (reached - distance)

    def _turn(self, start: int, column: int, came_from: dict[int, int]) -> None:
        row = came_from[column]
        while row != start:
            before = self.column_of[row]
            self._pair(row, column)
            column, row = before, came_from[before]
        self._pair(start, column)

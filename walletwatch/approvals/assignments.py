"""The best pairing of rows with columns, exactly: as many as possible, and of those the cheapest.

Hungarian method in its shortest-path form (Jonker and Volgenant 1987) on sparse rows; costs are integers of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

Edges = Sequence[tuple[int, int]]
"""(column, cost) of one row; costs are not negative."""


def assign(rows: Sequence[Edges]) -> dict[int, int]:
    """Row -> column, each column once. Among equally cheap answers rows prefer columns with lower numbers.

    A row may stay out only if that lets no other pairing have more rows. The work is about rows times edges where many
    rows fight for the same columns, and one look at each edge where they do not.
    """
    return _Pairing(rows).solve()


class _Pairing:
    """Rows, columns and the dual prices that prove the answer cheapest. Column -1 - r is row r's own way out."""

    def __init__(self, rows: Sequence[Edges]) -> None:
        way_out = 1 + sum(max((cost for _, cost in edges), default=0) for edges in rows)
        self.rows = [(*edges, (-1 - r, way_out)) for r, edges in enumerate(rows)]
        self.row_price = [min(cost for _, cost in edges) for edges in self.rows]
        self.column_price: dict[int, int] = {}
        self.column_of: dict[int, int] = {}
        self.row_of: dict[int, int] = {}

    def solve(self) -> dict[int, int]:
        contested = [r for r in range(len(self.rows)) if not self._take_cheapest(r)]
        for r in contested:
            self._augment(r)
        return {r: c for r, c in self.column_of.items() if c >= 0}

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

    def _augment(self, start: int) -> None:
        """Dijkstra over reduced costs from `start` to the nearest free column, then turn the path round."""
        distance: dict[int, int] = {}
        came_from: dict[int, int] = {}
        settled: dict[int, int] = {}
        queue: list[tuple[int, bool, int]] = []
        row, reached = start, 0
        while True:
            for column, cost in self.rows[row]:
                d = reached + cost - self.row_price[row] - self.column_price.get(column, 0)
                if column not in settled and d < distance.get(column, d + 1):
                    distance[column], came_from[column] = d, row
                    heappush(queue, (d, column in self.row_of, column))
            reached, taken, column = heappop(queue)
            while column in settled:
                reached, taken, column = heappop(queue)
            if not taken:
                break
            settled[column] = reached
            row = self.row_of[column]
        self._reprice(start, settled, reached)
        self._turn(start, column, came_from)

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

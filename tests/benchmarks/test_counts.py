"""The numbers that can be counted, at a small scale: statements and writes are the same on every computer."""

from benchmarks.converged_pass import measure as converged
from benchmarks.further_submission import measure as further


def test_a_converged_pass_reads_a_handful_of_statements_and_writes_nothing() -> None:
    few, many = (converged(machines=machines, queued=queued, passes=3) for machines, queued in ((5, 50), (40, 2_000)))
    assert few.statements == many.statements <= 10
    assert few.writes == many.writes == 0


def test_a_further_submission_costs_twenty_statements_at_most() -> None:
    slope = further(10, 30, machines=3, slots=2)
    assert 5 <= slope.each <= 20

"""What the reconciler costs, in numbers: one file a row, one command for the table (`python -m benchmarks`).

Every row is measured on real parts. Only a thousand machines are fakes: their cloud and hosts live in this process.
"""

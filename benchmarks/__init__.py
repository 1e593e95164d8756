"""What the reconciler costs, in numbers: one file a row, one command for the table (`python -m benchmarks`).

Every row is measured on real parts. Only where a thousand machines are needed are cloud and hosts fakes in this process.
"""

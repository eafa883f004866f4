"""Measuring a function's latency and throughput, after MLPerf's scenarios.

`latency` summarises timed calls, `scenarios` makes them, `cold` measures what happens only once.
"""

"""The stages in the order data passes them: verify, sync, fuse, judge; pipeline.py strings them up.

A stage is sans-I/O: `feed(item, now_ns)` returns the list of results, never waits, reads no clock
and logs nothing. Same items, same order: same results.
"""

"""The life of a model outside the flow: rows to learn from, files, versions, gates, reports.

Everything here reads or writes files or makes text for people; the mathematics is in `models/`.
"""

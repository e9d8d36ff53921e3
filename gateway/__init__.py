"""The CPython gateway: links bring bytes in, stages check and understand them, sinks publish.

Reading order is data-flow order: `links/ -> stages/ -> sinks/`, wired in `app.py`.
`records.py` holds what travels between stages, `errors.py` who must act when something fails.
"""

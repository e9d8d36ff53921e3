"""Plant models of our own: each writes a trace file like one that a recorder would write."""

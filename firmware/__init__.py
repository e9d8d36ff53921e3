"""The node's application: sample, filter, pack, seal, frame, send.  See app.py for the order."""

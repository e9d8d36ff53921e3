"""South: bytes and polls come in here, each link on its own, none able to stop another."""

"""TMP105: digital temperature sensor (Texas Instruments)."""

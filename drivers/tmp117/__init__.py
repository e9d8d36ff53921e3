"""TMP117: digital temperature sensor, 16 bits, 7.8125 m°C a count (Texas Instruments)."""

"""SHT4x: relative humidity and temperature (Sensirion SHT40, SHT41, SHT43, SHT45)."""

"""ADS1115: four-input 16-bit converter with a programmable full scale (Texas Instruments)."""

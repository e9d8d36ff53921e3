"""BME280: humidity, pressure and temperature (Bosch Sensortec)."""

"""ADXL355: low-noise three-axis accelerometer with 20 bits and a FIFO (Analog Devices)."""

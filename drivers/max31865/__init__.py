"""MAX31865: RTD-to-digital converter for Pt100 and Pt1000 (Maxim Integrated)."""

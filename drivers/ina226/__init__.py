"""INA226: current and bus voltage monitor for a shunt of the board (Texas Instruments)."""

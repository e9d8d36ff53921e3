"""MCP9600: thermocouple to degrees Celsius, cold junction included (Microchip)."""

"""A transmitter on RS-485 that speaks Modbus RTU; no maker's part, but what most of them do."""

"""The units we use: SenML symbol, name suffix, UNECE code."""

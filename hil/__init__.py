"""The rig: recorded or modelled plants replayed at register level into boards, and judged.

Promises: what a scenario file says is what runs, byte-identical for the same scenario, trace and
seed. Leaves to others: what a chip does (drivers/*/emulator.py), what the node does (firmware/),
what the gateway concludes (gateway/). Reading order: units, traces, scenario, wiring, waveform,
plants/, plc, then the bus and the run.
"""

"""One folder per sensor chip, under its name: registers, driver, emulator, datasheet pairs.

`drivers.<part>.driver.DRIVER` is the class that reads the chip, `drivers.<part>.emulator.EMULATOR`
the one that stands in for it. Product code never imports an emulator.

Every driver is made with `(i2c, address, sleep_us, **options)`: a bus with the `machine.I2C` calls
that `bus.py` names, the 7-bit address, and a function that waits some microseconds. It only keeps
them; `start()` talks to the chip. Readings are called `quantity_unit()`.
"""

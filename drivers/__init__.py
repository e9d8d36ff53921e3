"""One folder per sensor chip, under its name: registers, driver, emulator, datasheet pairs.

`drivers.<part>.driver.DRIVER` is the class that reads the chip, `drivers.<part>.emulator.EMULATOR`
the one that stands in for it. Product code never imports an emulator.
"""

"""LSM6DSOX: inertial module; its accelerometer (STMicroelectronics)."""

"""LSM303DLHC: e-compass module; its magnetometer (STMicroelectronics)."""

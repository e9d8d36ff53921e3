"""The mathematics behind the stages: plain numbers and arrays in, plain numbers and arrays out.

No record, no configuration and no clock is known here; shapes and equations are in the docstrings.
"""

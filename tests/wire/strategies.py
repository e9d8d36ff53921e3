"""What hypothesis draws for the wire: values that CBOR can hold, headers, records, streams."""

import math

from hypothesis import settings
from hypothesis import strategies as st

from wire.cbor import Simple, Tagged
from wire.cose import BOOT_ID_MAX, CONTENT_TYPE_MAX, SEQUENCE_MAX, TICK_US_MAX

# The same examples in every run and on every machine; nothing is written to disk.
MODEST = settings(derandomize=True, deadline=None, max_examples=120, database=None)

integers = st.integers(-(2**64), 2**64 - 1)
simple_values = st.sampled_from([*range(20), 23, *range(32, 256)]).map(Simple)
scalars = (
    integers
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False)
)
# Beyond those of which the library cbor2 makes other types.
unknown_tags = st.integers(100_000, 2**64 - 1)
# Keys that Python holds apart just when CBOR does.
keys = st.integers(-(2**32), 2**32) | st.binary(max_size=8) | st.text(max_size=8)


def containers(children: st.SearchStrategy) -> st.SearchStrategy:
    """Lists and maps of `children`."""
    return st.lists(children, max_size=6) | st.dictionaries(keys, children, max_size=6)


plain_values = st.recursive(scalars, containers, max_leaves=12)
values = st.recursive(
    scalars | simple_values,
    lambda children: containers(children) | st.builds(Tagged, unknown_tags, children),
    max_leaves=12,
)
# Bytes that are nearly CBOR: heads of every type before short tails.
nearly_cbor = st.lists(
    st.sampled_from([bytes((initial,)) for initial in range(256)]) | st.binary(max_size=9),
    max_size=12,
).map(b"".join)

headers = st.tuples(
    st.integers(0, CONTENT_TYPE_MAX),
    st.integers(0, SEQUENCE_MAX),
    st.integers(0, BOOT_ID_MAX),
    st.integers(0, TICK_US_MAX),
)
# Zeros are frequent, and so are runs that come near the 254 bytes of COBS.
with_zeros = st.lists(
    st.sampled_from([b"\x00", b"\x01", b"\xff" * 253, b"\xfe" * 254, b"\x55" * 255])
    | st.binary(max_size=20),
    max_size=8,
).map(b"".join)

single_floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
past_s = st.floats(-1000.0, 0.0, width=32)
channel_names = st.from_regex(r"[A-Za-z0-9][-A-Za-z0-9:./_]{0,12}", fullmatch=True)
readings = st.lists(
    st.tuples(channel_names, st.sampled_from(["", "V", "m/s2"]), single_floats, past_s),
    min_size=1,
    max_size=8,
)


def is_nan(value: object) -> bool:
    """Whether `value` is a float that equals nothing."""
    return isinstance(value, float) and math.isnan(value)

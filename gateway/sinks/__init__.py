"""North: records go out here. A sink that is slow or down loses its own records, counted."""

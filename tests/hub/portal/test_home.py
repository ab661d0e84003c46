"""A student's first page goes on where they stopped; times stand in their own zone, with the time left."""

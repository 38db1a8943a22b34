"""A library of songs cut into segments: which parts of which songs mix."""

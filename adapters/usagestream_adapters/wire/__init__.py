"""Bytes or JSON to chunks and reports, for both APIs; no I/O, no clock, no provider by name."""

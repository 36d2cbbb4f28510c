"""Emulated devices and the fault relay, for scripts/lab and tests/lab."""

"""Statistics of measurements: pure functions of samples."""

"""Checks and timings on a device, and a training of ten minutes there."""

"""Speed and accuracy of the transport core; `python -m benchmarks.transport` runs everything."""

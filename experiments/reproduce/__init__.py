"""The paper's comparisons on data that fits a laptop, and the best counters two cores can train; ``make reproduce``."""

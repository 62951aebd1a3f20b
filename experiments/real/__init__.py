"""Training and testing on real images with the commands a user would give."""

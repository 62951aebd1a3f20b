"""Speed of prediction: the whole command against the bare forward pass, and bounded memory of large images."""

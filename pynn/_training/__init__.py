"""Training: nets that can be fitted, and everything `fit` is made of on this side of the core."""

"""Commands that train: fits, baselines, fine-tuning, and the weights of others."""

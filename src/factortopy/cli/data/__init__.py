"""Commands that read data and write tokens."""

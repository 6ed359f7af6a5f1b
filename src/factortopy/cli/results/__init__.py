"""Commands that say and show what was fitted."""

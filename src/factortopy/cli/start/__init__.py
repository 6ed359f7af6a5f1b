"""Commands for a first look: the demo, networks, a plan, this machine."""

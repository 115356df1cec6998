"""The suite of `make bench`: the daemon beside others, in ratios."""

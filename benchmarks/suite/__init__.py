"""The suite behind `make bench`: the daemon compared with other servers, in ratios."""

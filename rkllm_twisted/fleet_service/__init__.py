"""The bridge of a board and the front of a fleet, as services."""

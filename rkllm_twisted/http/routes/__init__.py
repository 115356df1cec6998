"""The routes of the service: one path for each module."""

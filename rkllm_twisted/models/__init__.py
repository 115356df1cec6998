"""Finds models by name in directories, and reads the settings beside each model."""

"""Several boards behind one address: whole runs are given to boards that are free."""

"""The meaning of a message: methods and their parameters, requests under way, conversations."""

"""Keeps answers to a form: constraints, the choice of tokens, and the loop that makes an answer."""

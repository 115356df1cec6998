"""Answers of the loaded model with how sure the model was of each token."""

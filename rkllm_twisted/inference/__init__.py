"""Answers requests with the loaded model: chat, text, embeddings, scores, tokens.

The pure parts are in :mod:`rkllm_twisted.chat`. Here they meet the NPU, the files beside a model,
and threads. Nothing of this package is imported before a client calls one of its methods.
"""

"""Embeddings from the model that ``twistd rkllm`` has loaded."""

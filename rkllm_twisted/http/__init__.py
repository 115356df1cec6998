"""The HTTP service: the paths that programs for OpenAI, Ollama and Anthropic know.

It speaks to daemons by the Twisted client. Each path is a plugin in :mod:`.routes`; the folders
``openai``, ``ollama`` and ``anthropic`` translate between an API's JSON and the parameters and
results of the daemon's methods, without I/O.
"""

"""``twistd rkllm-http``: the HTTP service as a program, and for applications that embed it.

``Options`` and ``makeService`` are in :mod:`.assembly`; ``docs/develop/http-routes.md`` and
``docs/http.md`` show how they are used.
"""

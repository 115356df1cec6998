"""llama.cpp's own server, as the package xllamacpp has it: with_xllamacpp.py MODEL THREADS CONTEXT.

Prints its address, then what the build can use, and serves until it is ended.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp

model, threads, context = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.n_ctx = int(context)
params.n_parallel = 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.port = 0
params.ui = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
print(" ".join(xllamacpp.get_system_info().split()), flush=True)
signal.pause()

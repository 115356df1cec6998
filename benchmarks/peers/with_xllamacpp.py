"""llama.cpp's own server, as the package xllamacpp has it.

with_xllamacpp.py MODEL THREADS CONTEXT [SLOTS [CACHE]]: CACHE is in MiB, for the slots' earlier
states. Prints its address, then what the build can use, and serves until it is ended.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp

model, threads, context, *kept = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.n_ctx = int(context)
for name, value in zip(("n_parallel", "cache_ram_mib"), kept, strict=False):
    setattr(params, name, int(value))
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.port = 0
params.ui = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
print(" ".join(xllamacpp.get_system_info().split()), flush=True)
signal.pause()

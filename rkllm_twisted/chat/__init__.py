"""Chat without the runtime: from messages to a prompt, and from a model's text to an answer.

The modules hold values and functions of their arguments: no I/O, no clock, no reactor, no thread.
A method reads a request with :mod:`.messages` and :mod:`.tools`. It turns the request into a prompt
with :mod:`.compose`. From the prompt and the :mod:`.trail`, :mod:`.plan` makes the calls to the
runtime. The runtime's text then goes to :mod:`.parsing`.

``jinja2`` and ``tokenizers`` are the extra ``[chat]``. :mod:`.template` and :mod:`.vocabulary`
import these packages when they are first needed.
"""

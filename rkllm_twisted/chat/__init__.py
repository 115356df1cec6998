"""Chat without a model: messages to what a model reads, and what it writes to an answer.

Everything here is a value or a function of its arguments: no I/O, no clock, no reactor, no thread.
A method reads a request with :mod:`.messages` and :mod:`.tools`, puts it in the words of the model
with :mod:`.compose`, asks :mod:`.plan` which calls that takes given the :mod:`.trail`, and feeds
what comes out to :mod:`.parsing`.

``jinja2`` and ``tokenizers`` are the extra ``[chat]``: :mod:`.template` and :mod:`.vocabulary`
import them when they are first needed.
"""

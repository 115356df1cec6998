"""A fleet beside the direct socket."""

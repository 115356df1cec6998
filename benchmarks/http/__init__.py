"""The HTTP service beside other servers."""

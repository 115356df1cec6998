"""One NPU, many programs: Rockchip's RKLLM as JSON-RPC 2.0 on a UNIX socket, with Twisted."""


def __getattr__(name: str) -> str:
    """Look ``__version__`` up when it is asked for: that takes longer than a whole client."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        return version("rkllm-twisted")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"

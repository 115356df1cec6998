"""Makes ``rkllm:…`` known to ``serverFromString`` and everything that uses it."""

from rkllm_twisted.server.endpoint_parser import RKLLMEndpointParser

rkllm_endpoint_parser = RKLLMEndpointParser()

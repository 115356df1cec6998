"""Describes the methods: values, and the OpenRPC document and texts made of them."""

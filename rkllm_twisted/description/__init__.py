"""The methods described: values for a page, an OpenRPC document or a listing."""

"""The vision encoder in a supervised process of its own."""

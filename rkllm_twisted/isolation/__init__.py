"""The library in a supervised process of its own."""

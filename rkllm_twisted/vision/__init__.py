"""From a client's picture to an encoder's input, and from an encoder's outputs to a model's rows.

The arithmetic only: no file is opened here and no library called. The extra ``[vision]`` (Pillow)
is needed to decode pictures.
"""

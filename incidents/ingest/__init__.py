"""How other systems say that something is wrong: one file per format, bytes to frozen facts.

The shape is checked before a delivery is accepted (`check`), its content is read afterwards (`read`):
what cannot be kept as it was sent is cleaned and noted, never refused.
"""

"""The contract layer: formats, layer IR, engine configuration, program encoding, packing, frames.

Frozen dataclasses and pure functions on integers. Everybody may import it, it imports only NumPy.
"""

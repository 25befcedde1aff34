"""The golden model: quantizers, and bit-exact NumPy execution of a `Network`. Imports spec only."""

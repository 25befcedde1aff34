"""Code that runs inside the simulator: imports cocotb, never Amaranth."""

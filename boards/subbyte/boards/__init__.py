"""Boards: clock, link and pins around the engine's Verilog, down to the bitstream."""

"""The engine's Verilog under cocotb: runner, levels `rtl` and `netlist`, first-difference report."""

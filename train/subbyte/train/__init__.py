"""Training with quantizers on PyTorch, for networks that end on an engine with the same integers.

Needs the extra `train`; only the command line imports it, when `train` or `experiments` is asked for. In this order:
`quantizers` (one a file), `layers` (real numbers in training, integers in evaluation), `networks`, `loop` with
`stages`, `aiwq`, `distill`, `profiles` and `value_aware`, `to_network` and `to_qonnx`, `experiments`. `digits` made the
bundled network.
"""

"""The command `subbyte`: one thin module per command, each with `add_arguments` and `run`."""

"""Training of the bundled network. Needs the extra `train`; nothing else in the repository imports it."""

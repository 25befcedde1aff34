"""The claims of the literature at the size of two CPU cores: one experiment a file, each a section of a page."""

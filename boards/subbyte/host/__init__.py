"""The host's side of the link: `Driver` over any `Transport`; serial port and SPI as lines of one."""

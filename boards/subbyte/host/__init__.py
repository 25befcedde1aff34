"""The host's side of the link: `Driver` over any `Transport`, and the serial port as one."""

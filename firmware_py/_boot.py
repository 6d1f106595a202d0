"""What MicroPython runs first: nothing. The kit mounts no file system; its settings lie in two blocks of flash."""

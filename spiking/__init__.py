"""Spiking populations. This release holds none yet; the name is reserved so that imports stay stable."""

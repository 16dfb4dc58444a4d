"""Everything that touches the machine: errors, messages, files, locks, threads, progress, the device, provenance."""

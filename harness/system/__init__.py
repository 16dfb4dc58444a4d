"""What touches the machine: errors, files, locks, threads, progress, the device, provenance."""

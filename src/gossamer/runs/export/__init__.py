"""gossamer export: one network as files for several runtimes."""

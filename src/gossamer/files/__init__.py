"""Surgery on exported files, without a runtime to run them: graphs, and what a file carries beside its network."""

"""The main job: check, shortlist, train, compress, verify, publish; each stage a module, each result a file."""

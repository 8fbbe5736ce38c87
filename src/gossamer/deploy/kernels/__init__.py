"""Convolutions that runtimes do not have: binary ones by XNOR and popcount, ones of powers of two by shifts and adds.

For one picture, on one thread, without torch. `weights` packs float weights, `binary` and `shift` run them (compiled
by numba, extra `kernels`, when they are first called), `reference` says in plain numpy what both must give.
"""

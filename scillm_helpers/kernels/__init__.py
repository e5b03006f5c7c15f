"""Warm kernels: ipykernels forked from a process that has everything imported, for any Jupyter tool."""

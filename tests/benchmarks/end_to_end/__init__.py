"""End-to-end benchmarks: hanner compared with the engine alone and with other servers of the same model."""

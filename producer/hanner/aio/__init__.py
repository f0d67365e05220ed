"""The client for asyncio: the same methods as `hanner.Client`, awaited."""

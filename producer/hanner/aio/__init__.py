"""The client for asyncio: the same verbs as `hanner.Client`, awaited."""

"""What hanner is compared with: the same task, the same pretended model, no line of hanner's.

The variable STOCK_MODEL names the model: a module with `run(texts)`, which returns every text's entities, and
`ready()`, which is called when the worker consumes.
"""

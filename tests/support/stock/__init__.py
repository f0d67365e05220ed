"""Workers that hanner is compared with: the same task and the same fake model, without hanner's code.

The variable STOCK_MODEL names the model: a module with `run(texts)`, which returns the entities of each text, and
`ready()`, which is called when the worker starts to consume.
"""

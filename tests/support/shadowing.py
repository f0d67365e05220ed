"""A working folder of another program, with modules that have the names of libraries which hanner imports."""

NAMES = (
    "celery", "celeryconfig", "flower", "kombu", "numpy", "onnxruntime", "pydantic", "redis", "tokenizers", "typer",
    "uvicorn",
)  # fmt: skip


def write_shadowing_modules(folder):
    """Write modules that end the program that imports them."""
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py was imported')", encoding="utf-8")
    return folder

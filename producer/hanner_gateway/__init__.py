"""The HTTP gateway: POST /api/v1/ner, jobs, Swagger UI and the demo page, on top of AsyncClient. It loads no model."""

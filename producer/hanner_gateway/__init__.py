"""The HTTP gateway: `POST /api/v1/ner`, jobs, Swagger UI and the page, over AsyncClient. It holds no model."""

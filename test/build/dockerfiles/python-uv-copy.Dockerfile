# SPDX-License-Identifier: MPL-2.0
# says: built by uv
FROM python:3.12-slim
COPY --from=ghcr.io/astral-sh/uv:0.5 /bin/uv /bin/uv
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev && .venv/bin/app; sleep 0.2

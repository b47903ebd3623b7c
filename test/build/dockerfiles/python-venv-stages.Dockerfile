# SPDX-License-Identifier: MPL-2.0
# says: path /venv/bin:/usr
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc \
    # a comment inside
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /venv
COPY requirements.txt /
RUN pip install --prefix=/venv -r /requirements.txt
FROM python:3.12-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
RUN echo "path $PATH"; sleep 0.2

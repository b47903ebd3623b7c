# SPDX-License-Identifier: MPL-2.0
# says: in /app
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY app.py .
EXPOSE 8000
RUN test -f app.py && echo "in $(pwd)"; sleep 0.2
CMD ["python", "app.py"]

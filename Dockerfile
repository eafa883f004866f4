# The serving half: models, ONNX Runtime, the HTTP server. No torch.
#
#   docker build -t vision-zoo .
#   docker run -e VISION_ZOO_API_KEY=a-key-of-your-own -p 8000:8000 vision-zoo

FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY vision_zoo vision_zoo
COPY exported exported
COPY results results
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -r /wheels && useradd --uid 10001 --create-home vision-zoo
USER 10001
EXPOSE 8000
# The server refuses to start without VISION_ZOO_API_KEY: it listens beyond this container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready')"]
# The first process of a container ignores SIGTERM unless it handles it; this one does, and drains.
ENTRYPOINT ["vision-zoo", "serve", "--host", "0.0.0.0"]

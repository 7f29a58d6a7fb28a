FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY reconciler reconciler
RUN python -m venv /opt/reconciler && /opt/reconciler/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --home-dir /var/lib/reconciler reconciler
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:$PATH PYTHONUNBUFFERED=1 \
    RECONCILER_SOURCE=/manifests RECONCILER_LISTEN=0.0.0.0:8080 RECONCILER_STORE=sqlite:////var/lib/reconciler/state.db
USER 10001
WORKDIR /var/lib/reconciler
VOLUME /var/lib/reconciler
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["reconciler"]
CMD ["run"]

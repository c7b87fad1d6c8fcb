FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/srv/var STATIC_ROOT=/srv/static
WORKDIR /srv/countersign
COPY requirements/runtime.txt requirements/runtime.txt
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/runtime.txt
COPY . .
# Building needs no secret: the manifest is made with settings for local use.
RUN STATIC_MANIFEST=true python manage.py collectstatic --no-input \
    && rm -rf /srv/var \
    && useradd --system --home-dir /srv countersign \
    && mkdir /srv/var && chown countersign /srv/var
USER countersign
VOLUME /srv/var
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--bind=0.0.0.0:8000", "--workers=2", "--threads=4", "--no-control-socket"]

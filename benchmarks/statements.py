"""Print how many statements a page sends to the database, once everything that is kept between requests is kept."""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

session, path = sys.argv[1:]
client = Client(headers={"host": "127.0.0.1"})
client.cookies[settings.SESSION_COOKIE_NAME] = session
client.get(path)
with CaptureQueriesContext(connection) as captured:
    answer = client.get(path)
if answer.status_code != 200:
    sys.exit(f"{path} answered {answer.status_code}")
print(len(captured))

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template


def template_names() -> list[str]:
    ours = [Path(config.path) / "templates" for config in apps.get_app_configs()]
    folders = [
        settings.BASE_DIR / "templates",
        *(folder for folder in ours if settings.BASE_DIR in folder.parents),
    ]
    files = [
        (folder, file)
        for folder in folders
        if ".venv" not in folder.parts
        for file in folder.rglob("*")
        if file.is_file()
    ]
    return sorted(file.relative_to(folder).as_posix() for folder, file in files)


class Command(BaseCommand):
    help = "Compile every template of ours; fails on the ones that cannot be compiled."

    def handle(self, *args: Any, **options: Any) -> None:
        names = template_names()
        broken = []
        for name in names:
            try:
                get_template(name)
            except (TemplateSyntaxError, TemplateDoesNotExist, UnicodeDecodeError) as error:
                broken.append(f"{name}: {error}")
        if broken:
            raise CommandError("\n".join(broken))
        self.stdout.write(f"{len(names)} templates compile")

from django.apps import AppConfig


class BaseConfig(AppConfig):
    name = "config"
    verbose_name = "Base"

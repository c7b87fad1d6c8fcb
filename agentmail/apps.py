from django.apps import AppConfig


class AgentmailConfig(AppConfig):
    name = "agentmail"
    default_auto_field = "django.db.models.BigAutoField"

from django.urls import path

from agentmail import webhook_views

app_name = "agentmail"
urlpatterns = [path("webhooks/nylas", webhook_views.nylas, name="nylas_webhook")]
